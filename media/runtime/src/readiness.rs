//! Which of many descriptors are readable or writable (epoll): asking costs by those that are, not by those there are.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{Timespec, epoll};

/// Descriptors told of at once; the others are told of by the next call.
const EVENTS: usize = 64;

/// One descriptor that is ready, by the key it was added with. One with an error or at its end is readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) key: u64,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
}

/// A set of descriptors. One that is closed leaves it by itself.
#[derive(Debug)]
pub(crate) struct Readiness(OwnedFd);

impl Readiness {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(epoll::create(epoll::CreateFlags::CLOEXEC)?))
    }

    /// Tells from now on when `descriptor` is readable.
    pub(crate) fn add(&self, descriptor: impl AsFd, key: u64) -> io::Result<()> {
        Ok(epoll::add(&self.0, descriptor, epoll::EventData::new_u64(key), epoll::EventFlags::IN)?)
    }

    /// Tells when `descriptor` is readable and, where asked, when it is writable.
    pub(crate) fn tell_writable(&self, descriptor: impl AsFd, key: u64, writable: bool) -> io::Result<()> {
        let flags = if writable { epoll::EventFlags::IN | epoll::EventFlags::OUT } else { epoll::EventFlags::IN };
        Ok(epoll::modify(&self.0, descriptor, epoll::EventData::new_u64(key), flags)?)
    }

    /// Tells nothing more of a descriptor that lives on.
    pub(crate) fn remove(&self, descriptor: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.0, descriptor)?)
    }

    /// Fills `ready` with some of those that are, waiting for the first one; `None` waits without end.
    pub(crate) fn wait(&self, patience: Option<Duration>, ready: &mut Vec<Ready>) {
        let timeout = patience
            .map(|patience| Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: patience.subsec_nanos().into() });
        let mut events = [MaybeUninit::uninit(); EVENTS];
        ready.clear();
        // An interrupted wait found nothing, like one that timed out.
        if let Ok((events, _)) = epoll::wait(&self.0, &mut events, timeout.as_ref()) {
            ready.extend(events.iter().map(|&epoll::Event { flags, data, .. }| Ready {
                key: data.u64(),
                readable: flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR),
                writable: flags.contains(epoll::EventFlags::OUT),
            }));
        }
    }
}

impl AsFd for Readiness {
    /// Readable while one of the set is ready.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
