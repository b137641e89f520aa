use std::ops::{Add, Div, Mul, Neg, Sub};
use std::rc::Rc;

use tch::{TchError, Tensor};

use crate::{Error, Real, Result};

/// Evaluates a formula as a graph of libtorch operations: any device, any order of derivative.
///
/// Arithmetic operators cannot return an error. A failed operation (if memory runs out, for instance) is stored, passed
/// on by later operations, and returned by [`finish`](Self::finish).
#[derive(Clone, Debug)]
pub struct Composed(std::result::Result<Rc<Tensor>, Rc<TchError>>);

impl Composed {
    /// Starts from a tensor.
    pub fn new(tensor: Tensor) -> Self {
        Self(Ok(Rc::new(tensor)))
    }

    /// Returns the formula's result, or the first error on the way to it.
    pub fn finish(self) -> Result<Tensor> {
        match self.0 {
            Ok(tensor) => Ok(tensor.shallow_clone()),
            Err(error) => {
                Err(Error::Torch(Rc::try_unwrap(error).unwrap_or_else(|shared| TchError::Torch(shared.to_string()))))
            }
        }
    }

    fn map(&self, f: impl FnOnce(&Tensor) -> std::result::Result<Tensor, TchError>) -> Self {
        Self(self.0.clone().and_then(|tensor| f(&tensor).map(Rc::new).map_err(Rc::new)))
    }

    fn zip(&self, other: &Self, f: impl FnOnce(&Tensor, &Tensor) -> std::result::Result<Tensor, TchError>) -> Self {
        match &other.0 {
            Ok(other) => self.map(|tensor| f(tensor, other)),
            Err(error) => Self(self.0.clone().and(Err(error.clone()))),
        }
    }
}

impl Neg for Composed {
    type Output = Self;
    fn neg(self) -> Self {
        self.map(Tensor::f_neg)
    }
}

macro_rules! operators {
    ($($operator:ident $method:ident $tensor_method:ident),*) => {$(
        impl $operator<&Self> for Composed {
            type Output = Self;
            fn $method(self, other: &Self) -> Self {
                self.zip(other, Tensor::$tensor_method)
            }
        }
        impl $operator for Composed {
            type Output = Self;
            fn $method(self, other: Self) -> Self {
                $operator::$method(self, &other)
            }
        }
    )*};
}
operators!(Add add f_add, Sub sub f_sub, Mul mul f_mul, Div div f_div);

impl Real for Composed {
    fn scale(&self, factor: f64) -> Self {
        self.map(|x| x.f_mul_scalar(factor))
    }
    fn share(&self, weight: &Self) -> Self {
        self.zip(weight, |x, weight| Tensor::f_where_scalarself(&weight.f_eq(0)?, 0.0, &x.f_mul(weight)?))
    }
    fn damped(&self, factor: &Self) -> Self {
        // The factor's slope times infinity is NaN.
        self.clone() * self.select_lt(1e4, factor, &factor.detach())
    }
    fn shift(&self, offset: f64) -> Self {
        self.map(|x| x.f_add_scalar(offset))
    }
    fn exp(&self) -> Self {
        self.map(Tensor::f_exp)
    }
    fn ln(&self) -> Self {
        self.map(Tensor::f_log)
    }
    fn powf(&self, exponent: f64) -> Self {
        let power = |x: &Self| x.map(|x| x.f_pow_tensor_scalar(exponent));
        if exponent <= 0.0 || exponent >= 1.0 {
            return power(self);
        }
        // Avoid the power at 0, where libtorch's slope is infinite.
        let negated = -self.clone();
        negated.select_lt(0.0, &power(&negated.select_lt(0.0, self, &self.constant(1.0))), &self.detach())
    }
    fn sigmoid(&self) -> Self {
        // libtorch's derivative is s(1 − s), which loses all its digits where s is close to 1.
        let near_one = self.map(|x| x.f_neg()?.f_sigmoid()).one_minus();
        self.select_lt(0.0, &self.map(Tensor::f_sigmoid), &near_one)
    }
    fn log_sigmoid(&self) -> Self {
        self.map(Tensor::f_log_sigmoid)
    }
    fn select_lt(&self, threshold: f64, below: &Self, otherwise: &Self) -> Self {
        let chosen = self.map(|x| x.f_lt(threshold));
        below.zip(otherwise, |below, otherwise| match &chosen.0 {
            Ok(chosen) => below.f_where_self(chosen, otherwise),
            Err(error) => Err(TchError::Torch(error.to_string())),
        })
    }
    fn detach(&self) -> Self {
        self.map(Tensor::f_detach)
    }
    fn constant(&self, value: f64) -> Self {
        // Converted from f64: a value out of the kind's range becomes infinite, not a failure.
        self.map(|x| {
            Tensor::f_from_slice(&[value])?.f_reshape([0i64; 0])?.f_to_kind(x.f_kind()?)?.f_to_device(x.device())
        })
    }
}
