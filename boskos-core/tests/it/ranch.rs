//! The ranch against a naive model of it, and against rules that hold whatever happens.
//!
//! `BOSKOS_SEED` sets the first seed, `BOSKOS_SEQUENCES` the number of sequences; each sequence
//! has its own seed, and a failure names it and prints the shortest sequence found.

mod dice;
mod exact;
mod hunt;
mod loose;
mod scene;
mod shelf;
mod tally;

use self::hunt::hunt;

#[test]
fn ranch_does_what_the_model_does_when_nothing_is_in_flight() {
    let tally = hunt("exact", 3_000, 120, exact::play);
    tally.assert_each(exact::EXPECTED, 100);
}

#[test]
fn ranch_keeps_its_promises_whatever_the_store_answers() {
    let tally = hunt("loose", 2_000, 150, loose::play);
    tally.assert_each(loose::EXPECTED, 100);
}
