//! Real faults on real processes of this machine, and what they are without the library: effects
//! are looked for by other means than the ones that confirm a fault.

#![cfg(target_os = "linux")]

mod cgroups;
mod disk;
mod processes;
mod rights;
mod stress;
mod support;
