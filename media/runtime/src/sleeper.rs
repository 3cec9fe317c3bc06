//! Whether a thread sleeps, so that whoever leaves it work wakes it, and only then.
//!
//! The theory. The sleeper says that it sleeps, and then looks for work once more. Whoever leaves work leaves it first, and
//! then looks whether the other sleeps. A fence between the two steps on each side lets at least one of them see the other:
//! no work waits for a thread that sleeps and that nobody wakes. `loom` tries every order of these steps, see the tests.

#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, Ordering, fence};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// One thread's state, shared with those who leave it work.
#[derive(Debug)]
pub(crate) struct Sleeper(AtomicBool);

impl Sleeper {
    pub(crate) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// The thread is about to sleep; true where it may. `is_idle` looks whether there is no work. After its sleep it
    /// calls `stay_awake`.
    pub(crate) fn fall_asleep(&self, is_idle: impl FnOnce() -> bool) -> bool {
        self.0.swap(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let idle = is_idle();
        if !idle {
            self.stay_awake();
        }
        idle
    }

    pub(crate) fn stay_awake(&self) {
        self.0.swap(false, Ordering::SeqCst);
    }

    /// Work was left; true for the one who must wake the thread.
    pub(crate) fn rouse(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::SeqCst) && self.0.swap(false, Ordering::SeqCst)
    }
}

/// Run by `make models`: every order in which the threads' steps can be seen.
#[cfg(all(test, loom))]
mod models {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicUsize, Ordering};
    use loom::thread;

    use super::Sleeper;

    /// What the threads share: work that waits, and a descriptor that stays readable until it is cleared.
    struct Desk {
        sleeper: Sleeper,
        work: AtomicUsize,
        wakes: AtomicUsize,
    }

    impl Desk {
        fn leave(&self) {
            self.work.fetch_add(1, Ordering::Relaxed);
            if self.sleeper.rouse() {
                self.wakes.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    #[test]
    fn nobody_sleeps_on_work_without_being_woken() {
        for workers in [1, 2] {
            loom::model(move || {
                let desk =
                    Arc::new(Desk { sleeper: Sleeper::new(), work: AtomicUsize::new(0), wakes: AtomicUsize::new(0) });
                let threads: Vec<_> = (0..workers)
                    .map(|_| {
                        let desk = Arc::clone(&desk);
                        thread::spawn(move || desk.leave())
                    })
                    .collect();
                let asleep = desk.sleeper.fall_asleep(|| desk.work.load(Ordering::Relaxed) == 0);
                for thread in threads {
                    thread.join().expect("no panic");
                }
                // All work is left by now. Whoever sleeps was woken; and nobody is woken twice for one sleep.
                let wakes = desk.wakes.load(Ordering::Relaxed);
                assert!(!asleep || wakes == 1, "{workers} left work, the thread sleeps, {wakes} woke it");
                assert!(wakes <= 1);
            });
        }
    }

    #[test]
    fn a_second_sleep_is_as_safe_as_the_first() {
        loom::model(|| {
            let desk =
                Arc::new(Desk { sleeper: Sleeper::new(), work: AtomicUsize::new(0), wakes: AtomicUsize::new(0) });
            let worker = {
                let desk = Arc::clone(&desk);
                thread::spawn(move || {
                    desk.leave();
                    desk.leave();
                })
            };
            let mut taken = 0;
            let mut slept = false;
            for _ in 0..2 {
                slept = desk.sleeper.fall_asleep(|| desk.work.load(Ordering::Relaxed) == taken);
                if slept && desk.wakes.swap(0, Ordering::Relaxed) == 0 {
                    break; // it sleeps on
                }
                desk.sleeper.stay_awake();
                taken = desk.work.load(Ordering::Relaxed);
                slept = false;
            }
            worker.join().expect("no panic");
            let left = desk.work.load(Ordering::Relaxed) - taken;
            assert!(!slept || left == 0 || desk.wakes.load(Ordering::Relaxed) > 0, "{left} wait for one who sleeps");
        });
    }
}
