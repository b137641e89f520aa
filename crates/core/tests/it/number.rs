//! Numbers with derivatives, compared with calculus.

use masked_loss_core::{Dual, Real};

#[test]
fn a_power_has_its_value_and_slope_also_at_0() {
    for exponent in [0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 7.0, 8.0, 9.0, 16.0, 40.5] {
        for x in [0.25, 0.5, 1.0, 1.5] {
            let found = Dual::variable(x).powf(exponent);
            let (value, slope) = (f64::powf(x, exponent), exponent * f64::powf(x, exponent - 1.0));
            approx::assert_relative_eq!(found.value, value, max_relative = 1e-14, epsilon = 0.0);
            approx::assert_relative_eq!(found.derivative, slope, max_relative = 1e-14, epsilon = 0.0);
        }
        let at_0 = Dual::variable(0.0).powf(exponent);
        // Between 0 and 1 the slope is infinite; the formulas multiply it by 0.
        let (value, slope) = (f64::from(exponent == 0.0), f64::from(exponent == 1.0));
        assert_eq!((at_0.value, at_0.derivative), (value, slope), "exponent {exponent}");
        let at_nan = Dual::variable(f64::NAN).powf(exponent);
        assert_eq!((at_nan.value.is_nan(), at_nan.derivative.is_nan()), (exponent != 0.0, true), "exponent {exponent}");
    }
}

#[test]
fn arithmetic_follows_the_rules_of_calculus() {
    let (x, y) = (Dual { value: 0.75, derivative: 2.0 }, Dual { value: -1.25, derivative: 0.5 });
    let dual = |value, derivative| Dual { value, derivative };
    assert_eq!(x + y, dual(-0.5, 2.5));
    assert_eq!(x - y, dual(2.0, 1.5));
    assert_eq!(x * y, dual(-0.9375, 2.0 * -1.25 + 0.75 * 0.5));
    assert_eq!(x / dual(0.5, 4.0), dual(1.5, (2.0 - 1.5 * 4.0) / 0.5));
    assert_eq!(-x, dual(-0.75, -2.0));
    assert_eq!((x.scale(3.0), x.shift(3.0)), (dual(2.25, 6.0), dual(3.75, 2.0)));
    assert_eq!((x.size(), y.size()), (x, -y));
    assert_eq!((x.detach(), x.constant(4.0)), (dual(0.75, 0.0), dual(4.0, 0.0)));
    assert_eq!([0.5, 0.75, 1.0].map(|at| x.select_lt(at, &x, &y)), [y, y, x]);
    assert_eq!(x.one_minus(), dual(0.25, -2.0));
    assert_eq!(x.at_least(0.5), x);
    assert_eq!(x.at_least(1.0), dual(1.0, 0.0));
    assert_eq!((x.abs(), y.abs()), (x, -y));
    // The two differ at 0.
    let zero = Dual::fixed(0.0);
    assert_eq!((dual(0.0, 2.0).size(), dual(0.0, 2.0).abs()), (dual(0.0, 2.0), zero));
    // A weight does not depend on the variable, and one of 0 is stronger than NaN and infinity.
    assert_eq!((x.weighted(&y), x.share(&y)), (dual(-0.9375, -2.5), dual(-0.9375, -2.5)));
    assert_eq!(x.damped(&y), dual(-0.9375, -2.5 + 0.75 * 0.5));
    for wrong in [f64::NAN, f64::INFINITY] {
        assert_eq!(dual(wrong, wrong).share(&zero), zero);
    }
    let (e, s) = (0.75f64.exp(), 1.0 / (1.0 + (-0.75f64).exp()));
    let expected = [
        (x.exp(), e, 2.0 * e),
        (x.ln(), 0.75f64.ln(), 2.0 / 0.75),
        (x.sigmoid(), s, 2.0 * s * (1.0 - s)),
        (x.log_sigmoid(), s.ln(), 2.0 * (1.0 - s)),
    ];
    for (found, value, derivative) in expected {
        approx::assert_relative_eq!(found.value, value, max_relative = 1e-14, epsilon = 0.0);
        approx::assert_relative_eq!(found.derivative, derivative, max_relative = 1e-14, epsilon = 0.0);
    }
}
