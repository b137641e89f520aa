//! Safetensors files.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use tch::{Kind, TchError, Tensor};
use tempfile::NamedTempFile;

/// The tensors of a file that have not been taken yet.
pub struct Tensors(BTreeMap<String, Tensor>);

impl Tensors {
    pub fn read(file: &Path) -> Result<Self> {
        // Opened first: the system's message about a file that does not exist is clearer than libtorch's.
        File::open(file).with_context(|| file.display().to_string())?;
        match Tensor::read_safetensors(file) {
            Ok(tensors) => Ok(Self(tensors.into_iter().collect())),
            Err(TchError::SafeTensorError { err, .. }) => {
                bail!("{}: damaged or not a safetensors file ({err})", file.display())
            }
            Err(error) => Err(error).with_context(|| file.display().to_string()),
        }
    }

    pub fn take(&mut self, name: &str) -> Option<Tensor> {
        self.0.remove(name)
    }

    pub fn expect(&mut self, name: &str) -> Result<Tensor> {
        self.take(name).with_context(|| format!("there is no tensor `{name}`"))
    }

    pub fn vector(&mut self, name: &str) -> Result<Option<Vec<f64>>> {
        let numbers = |tensor: Tensor| Vec::try_from(tensor.f_to_kind(Kind::Double)?);
        self.take(name).map(numbers).transpose().with_context(|| format!("{name}: expected a vector"))
    }

    pub fn expect_vector(&mut self, name: &str) -> Result<Vec<f64>> {
        self.vector(name)?.with_context(|| format!("there is no tensor `{name}`"))
    }

    pub fn expect_number(&mut self, name: &str) -> Result<f64> {
        let tensor = self.expect(name)?;
        ensure!(tensor.numel() == 1, "{name}: expected one number, found {}", tensor.numel());
        Ok(tensor.f_reshape([1])?.f_double_value(&[0])?)
    }

    /// A misspelt `pos_weight` must not go unnoticed.
    pub fn expect_none_left(&self) -> Result<()> {
        match self.0.keys().next() {
            Some(name) => bail!("the loss does not use the tensor `{name}`"),
            None => Ok(()),
        }
    }
}

/// Writes the whole file or none.
pub fn write(tensors: &[(&str, Tensor)], file: &Path) -> Result<()> {
    let write = || {
        let contiguous: Vec<_> =
            tensors.iter().map(|(name, tensor)| Ok((name, tensor.f_contiguous()?))).collect::<Result<_>>()?;
        let temporary = NamedTempFile::new_in(file.parent().context("expected a file name")?)?;
        Tensor::write_safetensors(&contiguous, temporary.path())?;
        temporary.persist(file)?;
        anyhow::Ok(())
    };
    write().with_context(|| format!("cannot write {}", file.display()))
}
