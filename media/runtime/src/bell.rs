//! Tells one reader that something waits for it, once until it looks.
//!
//! The theory. Who leaves something leaves it first and rings then. The reader says that it looks before it looks. So
//! whatever it does not see was left after it said so, and rings again. All steps are swaps, so they have one order.
//! `loom` tries every one, see the tests.

#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the reader has been told since it last looked.
#[derive(Debug)]
pub(crate) struct Bell(AtomicBool);

impl Bell {
    pub(crate) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Something was left; true for the one who must tell the reader.
    pub(crate) fn ring(&self) -> bool {
        !self.0.swap(true, Ordering::SeqCst)
    }

    /// The reader looks from here on; whatever told it must be taken back before.
    pub(crate) fn answer(&self) {
        self.0.swap(false, Ordering::SeqCst);
    }
}

/// Run by `make models`.
#[cfg(all(test, loom))]
mod models {
    use loom::sync::atomic::{AtomicBool, Ordering};
    use loom::sync::{Arc, Mutex};
    use loom::thread;

    use super::Bell;

    /// A mailbox, and the descriptor that is readable while something waits.
    struct Desk {
        bell: Bell,
        mailbox: Mutex<u32>,
        readable: AtomicBool,
    }

    #[test]
    fn nothing_is_left_without_the_reader_knowing() {
        loom::model(|| {
            let desk = Arc::new(Desk { bell: Bell::new(), mailbox: Mutex::new(0), readable: AtomicBool::new(false) });
            let leavers: Vec<_> = (0..2)
                .map(|_| {
                    let desk = Arc::clone(&desk);
                    thread::spawn(move || {
                        *desk.mailbox.lock().expect("no panic") += 1;
                        if desk.bell.ring() {
                            desk.readable.store(true, Ordering::SeqCst);
                        }
                    })
                })
                .collect();
            // As `Outbox::drain`: the descriptor first, then the bell, then the mailbox.
            desk.readable.store(false, Ordering::SeqCst);
            desk.bell.answer();
            let taken = std::mem::take(&mut *desk.mailbox.lock().expect("no panic"));
            for leaver in leavers {
                leaver.join().expect("no panic");
            }
            let left = *desk.mailbox.lock().expect("no panic");
            assert!(left == 0 || desk.readable.load(Ordering::SeqCst), "{left} wait and {taken} were taken");
        });
    }
}
