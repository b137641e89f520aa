//! Gradients of a last layer by central differences.

use masked_loss::{Head, Linear, Named, Reduction};
use tch::{Kind, Tensor};

use crate::common::layer::{Layer, labels};
use crate::common::{losses, numbers};

const STEP: f64 = 1e-5;

/// The loss of a layer, with one number of one tensor changed.
fn moved(layer: &Layer, tensor: usize, place: i64, by: f64) -> Layer {
    let tensors = [&layer.hidden, &layer.weight, &layer.bias].map(Tensor::copy);
    let _ = tensors[tensor].view([-1]).narrow(0, place, 1).g_add_scalar_(by);
    let [hidden, weight, bias] = tensors;
    Layer { hidden, weight, bias }
}

fn check(named: &Named, head: Head, reduction: Reduction) {
    let (layer, labels) = (Layer::draw(41, named, [4, 9, 3], Kind::Double), labels(42, [4, 9], 0.4, true));
    let value = |layer: &Layer| {
        let linear = Linear::new(&layer.weight, Some(&layer.bias)).with_head(head);
        named.loss.forward_linear(&layer.hidden, &linear, &labels, reduction).unwrap().double_value(&[])
    };
    let tracked = layer.tracked();
    let linear = Linear::new(&tracked.weight, Some(&tracked.bias)).with_head(head);
    named.loss.forward_linear(&tracked.hidden, &linear, &labels, reduction).unwrap().backward();
    for (tensor, tracked) in [&tracked.hidden, &tracked.weight, &tracked.bias].into_iter().enumerate() {
        for (place, found) in (0..).zip(numbers(&tracked.grad())) {
            let [more, less] = [STEP, -STEP].map(|by| value(&moved(&layer, tensor, place, by)));
            let expected = (more - less) / (2.0 * STEP);
            let close = (found - expected).abs() < 1e-6 * (1.0 + expected.abs());
            assert!(close, "{}, {head:?}, {reduction:?}, {tensor}, {place}: {found}, {expected}", named.name);
        }
    }
}

#[test]
fn gradients_are_those_of_central_differences() {
    for named in losses(9) {
        for head in [Head::Dense, Head::Chunked, Head::Observed] {
            [Reduction::Mean, Reduction::MeanPerLabel].into_iter().for_each(|reduction| check(&named, head, reduction));
        }
    }
}
