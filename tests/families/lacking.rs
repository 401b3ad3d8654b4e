//! A recurrent model, which lacks most of what is looked for: what it lacks is named, the rest is right.
//!
//! Invariant: nothing is guessed, and nothing ends the program.
