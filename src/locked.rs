//! A file that one process at a time has locked.
//!
//! Invariant: it is free as soon as it is dropped. Closing it alone does not free it: a program that is being started has
//! copies of all open files until it begins, and the lock is held as long as any copy is open.

use std::fs::File;

/// A file whose lock was taken.
#[derive(Debug)]
pub struct Locked(pub File);

impl Drop for Locked {
    fn drop(&mut self) {
        // Where this fails the file is closed all the same.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_free_once_dropped_though_a_program_that_starts_has_a_copy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock");
        let file = File::create(&path).unwrap();
        file.try_lock().unwrap();
        let copy = file.try_clone().unwrap();
        drop(Locked(file));
        File::open(&path).unwrap().try_lock().unwrap();
        drop(copy);
    }
}
