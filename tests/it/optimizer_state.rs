//! What an optimizer remembers, and for how long.

use masked_loss::{Head, Optimizer, Rule};
use tch::{Kind, Tensor};

use crate::common::learner::Learner;
use crate::common::numbers;

fn learner() -> Learner {
    let learner = Learner::new(Rule::ADAM, 0.01, Kind::Float);
    Learner { optimizer: learner.optimizer.with_catch_up(), ..learner }
}

fn copies(state: Vec<Vec<Tensor>>) -> Vec<Vec<Tensor>> {
    state.into_iter().map(|tensors| tensors.iter().map(Tensor::copy).collect()).collect()
}

/// The bits of all rows, none of which is late.
fn caught_up(learner: &Learner) -> [Vec<u64>; 2] {
    learner.optimizer.catch_up_all().unwrap();
    learner.bits()
}

#[test]
fn a_restored_optimizer_goes_on_from_what_was_saved() {
    let mut learner = learner();
    (0..6).for_each(|time| learner.step(Head::Observed, true, time));
    learner.optimizer.catch_up_all().unwrap();
    let (steps, state, bits) = (learner.optimizer.steps(), copies(learner.optimizer.state().unwrap()), learner.bits());
    let saved = [&learner.layer.weight, &learner.layer.bias].map(Tensor::copy);
    (6..12).for_each(|time| learner.step(Head::Observed, true, time));
    let later = caught_up(&learner);

    // Rows have missed steps, which belong to the weights that are given up.
    learner.step(Head::Observed, true, 12);
    for (weight, saved) in [&learner.layer.weight, &learner.layer.bias].into_iter().zip(&saved) {
        tch::no_grad(|| weight.shallow_clone().copy_(saved));
    }
    learner.optimizer.restore(steps, &state).unwrap();
    assert_eq!(learner.optimizer.steps(), 6);
    assert_eq!(caught_up(&learner), bits);
    (6..12).for_each(|time| learner.step(Head::Observed, true, time));
    assert_eq!(caught_up(&learner), later);
}

#[test]
fn what_moved_in_the_forward_pass_does_not_move_again() {
    for head in [Head::Observed, Head::Chunked] {
        let (mut old, mut new) = (learner(), learner());
        // The parameters of one hold gradients, of zero by now.
        old.step(Head::Dense, false, 1);
        new.step(Head::Dense, false, 1);
        for weight in [&mut new.layer.weight, &mut new.layer.bias] {
            *weight = weight.detach().set_requires_grad(true);
        }
        let state = copies(new.optimizer.state().unwrap());
        let parameters = [&new.layer.weight, &new.layer.bias].map(Tensor::shallow_clone);
        new.optimizer = Optimizer::new(Rule::ADAM, 0.01, &parameters).unwrap().with_catch_up();
        new.optimizer.restore(1, &state).unwrap();
        for learner in [&mut old, &mut new] {
            learner.update(head, &Learner::batch(2), 0.1);
            learner.optimizer.catch_up_all().unwrap();
        }
        assert!(old.layer.weight.grad().defined() && !new.layer.weight.grad().defined());
        assert_eq!(numbers(&old.layer.weight.grad()), [0.0; 240]);
        assert_eq!(old.bits(), new.bits(), "{head:?}");
    }
}
