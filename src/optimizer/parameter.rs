//! One parameter and its optimizer state.

use std::cell::RefCell;

use masked_loss_core::{Moving, Rule, Scalar, Step};
use tch::{Device, Kind, TchError, Tensor};

use super::composed;
use crate::native::{Element, TorchThreads, slice, slice_mut};
use crate::{Error, Result, check};

/// The number of steps that are stored for rows to catch up on.
const MOST: usize = 1 << 12;

#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) weight: Tensor,
    pub(super) first: Tensor,
    pub(super) second: Option<Tensor>,
    /// `None` if all rows are up to date.
    behind: RefCell<Option<Behind>>,
}

/// Rows that have not taken all steps.
#[derive(Debug)]
struct Behind {
    steps: Vec<Step>,
    /// How many of the steps each row has taken.
    taken: Vec<usize>,
}

/// Contiguous rows of a weight.
#[derive(Clone, Copy)]
pub(super) enum Rows<'a> {
    All,
    /// These rows, in ascending order.
    Some(&'a [i32]),
}

impl Parameter {
    pub(super) fn new(weight: &Tensor, rule: Rule) -> Result<Self> {
        check::floating("parameters", weight)?;
        let zeros = || weight.f_detach()?.f_zeros_like();
        let (first, second) = (zeros()?, rule.has_second().then(zeros).transpose()?);
        Ok(Self { weight: weight.shallow_clone(), first, second, behind: RefCell::default() })
    }

    pub(super) fn is(&self, weight: &Tensor) -> bool {
        self.weight.data_ptr() == weight.data_ptr() && self.weight.size() == weight.size()
    }

    /// The weight and its state, sharing this parameter's memory.
    fn numbers(&self) -> Result<Numbers> {
        let second = self.second.as_ref().map(Tensor::shallow_clone);
        Ok(Numbers { weight: self.weight.f_detach()?, first: self.first.shallow_clone(), second })
    }

    /// Whether the kernel takes the steps; it can move single rows.
    fn has_kernel(&self) -> Result<bool> {
        let is_plain = self.weight.device() == Device::Cpu && self.weight.dim() > 0 && self.weight.is_contiguous();
        Ok(is_plain && matches!(self.weight.f_kind()?, Kind::Float | Kind::Double))
    }

    /// Takes a step with the parameter's gradient, if it has one.
    pub(super) fn step(&self, step: &Step, catches_up: bool) -> Result<()> {
        let gradient = self.weight.f_grad()?;
        if !gradient.defined() {
            return Ok(());
        }
        if !gradient.is_sparse() {
            return self.step_all(step, &gradient);
        }
        let size = gradient.size();
        if gradient.f_sparse_dim()? != 1 {
            let (expected, found) = ("a gradient that is sparse in its rows".into(), format!("one of {size:?}"));
            return Err(Error::Kind { argument: "parameters", expected, found });
        }
        // Backward leaves the rows in order, but not marked as coalesced.
        let parts = |gradient: &Tensor| -> Result<_> {
            let rows =
                Vec::<i64>::try_from(&gradient.f_internal_indices()?.f_reshape([-1])?.f_to_device(Device::Cpu)?)?;
            Ok((rows, gradient.f_internal_values()?))
        };
        let (mut rows, mut values) = parts(&gradient)?;
        if !rows.is_sorted_by(|a, b| a < b) {
            (rows, values) = parts(&gradient.f_coalesce()?)?;
        }
        let rows: Vec<i32> = rows.into_iter().map(|row| row as i32).collect();
        self.step_rows(step, &rows, &values, catches_up)
    }

    /// Takes a step for all rows.
    pub(super) fn step_all(&self, step: &Step, gradient: &Tensor) -> Result<()> {
        self.catch_up(Rows::All)?;
        self.move_all(step, self.numbers()?, gradient)
    }

    /// Takes a step for `length` rows from `start` on, which are all up to date.
    pub(super) fn step_part(&self, step: &Step, start: i64, length: i64, gradient: &Tensor) -> Result<()> {
        self.move_all(step, self.numbers()?.map(|tensor| tensor.f_narrow(0, start, length))?, gradient)
    }

    fn move_all(&self, step: &Step, mut numbers: Numbers, gradient: &Tensor) -> Result<()> {
        let gradient = gradient.f_detach()?.f_to_kind(self.weight.f_kind()?)?;
        match self.has_kernel()? {
            true => Work::All(step, &gradient.f_contiguous()?).run(numbers),
            false => {
                let Numbers { weight, first, second } = &mut numbers;
                composed::step(step, weight, first, second.as_mut(), &gradient)
            }
        }
    }

    /// Takes a step for the rows of `gradient`.
    pub(super) fn step_rows(&self, step: &Step, rows: &[i32], gradient: &Tensor, catches_up: bool) -> Result<()> {
        if !self.has_kernel()? {
            return self.step_composed_rows(step, rows, gradient, catches_up);
        }
        if catches_up {
            self.catch_up(Rows::Some(rows))?;
        }
        let gradient = gradient.f_detach()?.f_to_kind(self.weight.f_kind()?)?.f_contiguous()?;
        Work::Rows(step, rows, &gradient).run(self.numbers()?)?;
        if !catches_up {
            return Ok(());
        }
        let mut behind = self.behind.borrow_mut();
        let count = self.weight.size()[0] as usize;
        let Behind { steps, taken } = behind.get_or_insert_with(|| Behind { steps: Vec::new(), taken: vec![0; count] });
        steps.push(*step);
        rows.iter().for_each(|&row| taken[row as usize] = steps.len());
        let many = steps.len() >= MOST;
        drop(behind);
        if many { self.catch_up(Rows::All) } else { Ok(()) }
    }

    /// Without a kernel no row ever lags: with `catches_up`, a step moves all rows at once.
    fn step_composed_rows(&self, step: &Step, rows: &[i32], gradient: &Tensor, catches_up: bool) -> Result<()> {
        let device = self.weight.device();
        let index = Tensor::f_from_slice(rows)?.f_to_device(device)?.f_to_kind(Kind::Int64)?;
        let gradient = gradient.f_to_kind(self.weight.f_kind()?)?;
        if catches_up {
            let whole = self.weight.f_detach()?.f_zeros_like()?.f_index_copy(0, &index, &gradient)?;
            return self.step_all(step, &whole);
        }
        let whole = self.numbers()?;
        let mut rows = self.numbers()?.map(|tensor| tensor.f_index_select(0, &index))?;
        composed::step(step, &mut rows.weight, &mut rows.first, rows.second.as_mut(), &gradient)?;
        for (mut whole, part) in whole.all().zip(rows.all()) {
            let _ = whole.f_index_copy_(0, &index, &part)?;
        }
        Ok(())
    }

    pub(super) fn state(&self) -> Vec<Tensor> {
        std::iter::once(&self.first).chain(&self.second).map(Tensor::shallow_clone).collect()
    }

    /// Marks all rows as up to date.
    pub(super) fn forget(&self) {
        self.behind.take();
    }

    /// Brings rows up to date.
    pub(super) fn catch_up(&self, rows: Rows<'_>) -> Result<()> {
        let mut behind = self.behind.borrow_mut();
        let Some(Behind { steps, taken }) = &mut *behind else { return Ok(()) };
        let is_late = |row: &i32| taken[*row as usize] < steps.len();
        let late: Vec<i32> = match rows {
            Rows::All => (0..taken.len() as i32).filter(is_late).collect(),
            Rows::Some(rows) => rows.iter().copied().filter(is_late).collect(),
        };
        let had: Vec<usize> = late.iter().map(|&row| taken[row as usize]).collect();
        Work::Missed(steps, &late, &had).run(self.numbers()?)?;
        match rows {
            Rows::All => *behind = None,
            Rows::Some(_) => late.iter().for_each(|&row| taken[row as usize] = steps.len()),
        }
        Ok(())
    }
}

/// A weight, or some of its rows, with its optimizer state.
struct Numbers {
    weight: Tensor,
    first: Tensor,
    second: Option<Tensor>,
}

impl Numbers {
    fn map(self, of: impl Fn(&Tensor) -> std::result::Result<Tensor, TchError>) -> Result<Self> {
        let second = self.second.as_ref().map(&of).transpose()?;
        Ok(Self { weight: of(&self.weight)?, first: of(&self.first)?, second })
    }

    fn all(self) -> impl Iterator<Item = Tensor> {
        [self.weight, self.first].into_iter().chain(self.second)
    }
}

/// The kernel's update of the numbers.
enum Work<'a> {
    All(&'a Step, &'a Tensor),
    Rows(&'a Step, &'a [i32], &'a Tensor),
    /// The steps, the rows, and how many steps each row has taken.
    Missed(&'a [Step], &'a [i32], &'a [usize]),
}

impl Work<'_> {
    fn run(self, numbers: Numbers) -> Result<()> {
        match numbers.weight.f_kind()? {
            Kind::Double => self.run_as::<f64>(numbers),
            _ => self.run_as::<f32>(numbers),
        }
    }

    fn run_as<F: Scalar + Element>(self, Numbers { mut weight, mut first, mut second }: Numbers) -> Result<()> {
        let width = weight.size()[1..].iter().product::<i64>() as usize;
        let second = second.as_mut().map_or(Ok(&mut [][..]), slice_mut::<F>)?;
        let moving = Moving { weight: slice_mut(&mut weight)?, first: slice_mut(&mut first)?, second, width };
        match self {
            Self::All(step, gradient) => moving.step(&TorchThreads, step, slice(gradient)?),
            Self::Rows(step, rows, gradient) => moving.step_rows(&TorchThreads, step, rows, slice(gradient)?),
            Self::Missed(steps, rows, taken) => moving.replay(&TorchThreads, steps, rows, taken),
        }?;
        Ok(())
    }
}
