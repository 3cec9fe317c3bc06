//! ICE-lite (RFC 8445) for one transport: checks answered, a path selected, consent watched (RFC 7675).
//!
//! Replays must not redirect media. A transaction that was seen from another address is ignored, and once DTLS has
//! settled, a path that is alive is left only for one that was nominated twice since the old one was last nominated.

use std::hash::BuildHasher;
use std::time::{Duration, Instant};

use rustc_hash::FxBuildHasher;

use crate::batch::Path;
use crate::stun::{
    BINDING, Class, ErrorCode, IntegrityKey, Message, Role, TransactionId, write_binding_error, write_binding_success,
};

/// More paths than a client has pairs of interfaces; the longest unused gives way.
const MAX_PAIRS: usize = 16;
/// Five minutes of consent checks of a browser, one each 2.5 s.
const REMEMBERED_TRANSACTIONS: usize = 128;
/// A browser checks its selected pair each 2.5 s: a path that missed that may be left at the first nomination.
const PATH_SILENCE: Duration = Duration::from_millis(2500);
/// When Python hears that nothing authentic arrives (LIVEKIT.md 4.8).
const TRANSPORT_SILENCE: Duration = Duration::from_secs(10);

/// One side's ufrag and password.
struct Credentials {
    ufrag: String,
    key: IntegrityKey,
    /// The restart that they came with.
    restarts: u32,
}

/// A path that passed a keyed check.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) path: Path,
    /// The shard whose socket receives this path, where it is not the owner's.
    pub(crate) via: Option<u16>,
    priority: u32,
    restarts: u32,
    heard: Instant,
}

/// A nomination that waits to be confirmed by a second one.
#[derive(Clone, Copy)]
struct Nomination {
    path: Path,
    transaction: TransactionId,
}

/// What a keyed check led to.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// The path is new: its datagrams are this transport's from now on.
    pub(crate) is_new_path: bool,
    /// Paths that have ended.
    pub(crate) ended: Vec<Pair>,
    /// A path was selected for the first time.
    pub(crate) selected: bool,
    /// The selected path was replaced.
    pub(crate) moved: bool,
    /// A nomination was not followed (yet).
    pub(crate) kept: bool,
    /// Heard again after silence.
    pub(crate) returned: bool,
}

/// Why a check was not accepted. Only the second was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Forged,
    RoleConflict,
    Replayed,
    /// A comprehension-required attribute that is not known, or no request.
    Unusable,
}

/// What the passing of time led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lapse {
    Silent,
    Expired,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hearing {
    Alive,
    Silent,
    Expired,
}

/// The ICE state of one transport.
pub(crate) struct Ice {
    current: Credentials,
    /// Valid until a path is nominated under the current ones: those that the selected path was nominated under, and the
    /// last before the current.
    previous: Vec<Credentials>,
    restarts: u32,
    pairs: Vec<Pair>,
    selected: Option<usize>,
    /// A path has been selected at some time.
    is_reached: bool,
    /// DTLS is done: the selected path is no longer lightly left.
    settled: bool,
    nomination: Option<Nomination>,
    seen: Transactions,
    hearing: Hearing,
    checked: Instant,
    heard: Instant,
}

impl Ice {
    pub(crate) fn new(now: Instant, ufrag: String, password: &str) -> Self {
        Self {
            current: Credentials { ufrag, key: IntegrityKey::new(password.as_bytes()), restarts: 0 },
            previous: Vec::new(),
            restarts: 0,
            pairs: Vec::new(),
            selected: None,
            is_reached: false,
            settled: false,
            nomination: None,
            seen: Transactions::default(),
            hearing: Hearing::Alive,
            checked: now,
            heard: now,
        }
    }

    /// Takes new credentials; the old ones hold until a path is nominated under the new.
    pub(crate) fn restart(&mut self, ufrag: String, password: &str) {
        self.restarts += 1;
        let fresh = Credentials { ufrag, key: IntegrityKey::new(password.as_bytes()), restarts: self.restarts };
        let used = self.selected.map(|place| self.pairs[place].restarts);
        self.previous.retain(|credentials| Some(credentials.restarts) == used);
        self.previous.push(std::mem::replace(&mut self.current, fresh));
        self.nomination = None;
    }

    /// DTLS has ended: from here on a living path is moved by its rule only.
    pub(crate) fn settle(&mut self) {
        self.settled = true;
    }

    /// Where to send; `None` before the first keyed check and after consent ended. Until a path is nominated it is the
    /// best of those that passed: a browser's ClientHello overtakes its nomination, and an answer that waited for that
    /// would cost the second after which DTLS repeats itself.
    pub(crate) fn sending_path(&self) -> Option<Path> {
        if self.hearing == Hearing::Expired {
            return None;
        }
        let pair = match self.selected {
            Some(place) => self.pairs.get(place),
            None => self.pairs.iter().max_by_key(|pair| pair.priority),
        };
        pair.map(|pair| pair.path)
    }

    pub(crate) fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// A path has ended from below. Where it was the selected one, the next nomination is followed at once.
    pub(crate) fn forget(&mut self, path: Path) {
        let selected = self.selected.map(|place| self.pairs[place].path);
        self.pairs.retain(|pair| pair.path != path);
        self.selected = selected.and_then(|selected| self.pairs.iter().position(|pair| pair.path == selected));
        self.nomination.take_if(|waiting| waiting.path == path);
    }

    pub(crate) fn is_expired(&self) -> bool {
        self.hearing == Hearing::Expired
    }

    /// Checks a binding request and appends the answer to `out`. An unauthentic one is not answered and leaves no trace.
    pub(crate) fn handle_check(
        &mut self,
        now: Instant,
        path: Path,
        via: Option<u16>,
        message: &Message<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Checked, Refusal> {
        if message.class != Class::Request || message.method != BINDING || !message.has_fingerprint {
            return Err(Refusal::Unusable);
        }
        let local = message.ufrags().ok_or(Refusal::Forged)?.0;
        let mut known = std::iter::once(&self.current).chain(&self.previous);
        let credentials = known.find(|credentials| credentials.ufrag == local).ok_or(Refusal::Forged)?;
        if !message.verify(&credentials.key) || self.hearing == Hearing::Expired {
            return Err(Refusal::Forged);
        }
        let key = Some(&credentials.key);
        if !message.unknown.as_slice().is_empty() {
            write_binding_error(
                out,
                &message.transaction,
                ErrorCode::UnknownAttribute,
                message.unknown.as_slice(),
                key,
            );
            return Err(Refusal::Unusable);
        }
        if let Some(Role::Controlled(_)) = message.role {
            write_binding_error(out, &message.transaction, ErrorCode::RoleConflict, &[], key);
            return Err(Refusal::RoleConflict);
        }
        let sighting = self.seen.note(message.transaction, path);
        if sighting == Sighting::Elsewhere {
            return Err(Refusal::Replayed);
        }
        write_binding_success(out, &message.transaction, path.remote, &credentials.key);
        let restarts = credentials.restarts;

        self.checked = now;
        let mut checked = Checked { returned: self.hear(now), ..Checked::default() };
        let place = self.note_pair(now, path, via, message.priority.unwrap_or(0), restarts, &mut checked);
        if message.use_candidate && sighting == Sighting::First {
            self.nominate(now, place, message.transaction, &mut checked);
        }
        Ok(checked)
    }

    /// Something authentic came over `path`; true where the transport had been silent.
    pub(crate) fn handle_authentic(&mut self, now: Instant, path: Path) -> bool {
        let selected = self.selected.filter(|&place| self.pairs[place].path == path);
        let place = selected.or_else(|| self.pairs.iter().position(|pair| pair.path == path));
        if let Some(place) = place {
            self.pairs[place].heard = now;
        }
        self.hear(now)
    }

    /// Notes silence, and the end of consent after `idle_timeout` without a check.
    pub(crate) fn handle_timeout(&mut self, now: Instant, idle_timeout: Duration) -> Option<Lapse> {
        if self.hearing != Hearing::Expired && now.saturating_duration_since(self.checked) >= idle_timeout {
            self.hearing = Hearing::Expired;
            return Some(Lapse::Expired);
        }
        let silent = now.saturating_duration_since(self.heard) >= TRANSPORT_SILENCE;
        if self.hearing == Hearing::Alive && silent && self.is_reached {
            self.hearing = Hearing::Silent;
            return Some(Lapse::Silent);
        }
        None
    }

    fn hear(&mut self, now: Instant) -> bool {
        self.heard = now;
        let returned = self.hearing == Hearing::Silent;
        if returned {
            self.hearing = Hearing::Alive;
        }
        returned
    }

    fn note_pair(
        &mut self,
        now: Instant,
        path: Path,
        via: Option<u16>,
        priority: u32,
        restarts: u32,
        checked: &mut Checked,
    ) -> usize {
        if let Some(place) = self.pairs.iter().position(|pair| pair.path == path) {
            let pair = &mut self.pairs[place];
            pair.heard = now;
            pair.priority = priority;
            pair.restarts = pair.restarts.max(restarts);
            pair.via = via;
            return place;
        }
        let pair = Pair { path, via, priority, restarts, heard: now };
        checked.is_new_path = true;
        if self.pairs.len() < MAX_PAIRS {
            self.pairs.push(pair);
            return self.pairs.len() - 1;
        }
        let spare = (0..self.pairs.len()).filter(|&place| Some(place) != self.selected);
        let oldest = spare.min_by_key(|&place| self.pairs[place].heard).unwrap_or(0);
        checked.ended.push(std::mem::replace(&mut self.pairs[oldest], pair));
        oldest
    }

    fn nominate(&mut self, now: Instant, place: usize, transaction: TransactionId, checked: &mut Checked) {
        let nominated = self.pairs[place];
        let Some(selected) = self.selected else {
            self.select(place, checked);
            checked.selected = true;
            return;
        };
        let old = self.pairs[selected];
        let is_pending = !self.previous.is_empty();
        if selected == place && !(is_pending && nominated.restarts == self.restarts) {
            self.nomination = None;
            return;
        }
        // A client may stay with a pair that it found under the old credentials, though it has the new ones by now:
        // among paths of one restart the usual rules hold.
        let follows = if nominated.restarts == self.restarts && (is_pending || old.restarts != self.restarts) {
            true
        } else if nominated.restarts < old.restarts {
            false
        } else if !self.settled {
            nominated.priority > old.priority
        } else {
            let confirms = |waiting: &Nomination| waiting.path == nominated.path && waiting.transaction != transaction;
            now.saturating_duration_since(old.heard) >= PATH_SILENCE || self.nomination.as_ref().is_some_and(confirms)
        };
        if follows {
            self.select(place, checked);
            checked.moved = selected != place;
        } else {
            self.nomination = Some(Nomination { path: nominated.path, transaction });
            checked.kept = true;
        }
    }

    /// Selects a path; one of a restart ends the credentials and paths from before it.
    fn select(&mut self, place: usize, checked: &mut Checked) {
        let path = self.pairs[place].path;
        self.nomination = None;
        self.is_reached = true;
        if self.pairs[place].restarts == self.restarts && !self.previous.is_empty() {
            let restarts = self.restarts;
            self.previous.clear();
            checked.ended.extend(self.pairs.extract_if(.., |pair| pair.restarts != restarts));
        }
        self.selected = self.pairs.iter().position(|pair| pair.path == path);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sighting {
    First,
    /// Sent again over the same path.
    Again,
    /// Seen before from another address.
    Elsewhere,
}

/// The last transactions and a hash of where each came from.
#[derive(Default)]
struct Transactions {
    ring: Vec<(TransactionId, u32)>,
    next: usize,
}

impl Transactions {
    fn note(&mut self, transaction: TransactionId, path: Path) -> Sighting {
        let source = FxBuildHasher.hash_one(path) as u32;
        match self.ring.iter().find(|(seen, _)| *seen == transaction) {
            Some((_, known)) if *known == source => return Sighting::Again,
            Some(_) => return Sighting::Elsewhere,
            None => {}
        }
        if self.ring.len() < REMEMBERED_TRANSACTIONS {
            self.ring.push((transaction, source));
        } else {
            self.ring[self.next] = (transaction, source);
            self.next = (self.next + 1) % REMEMBERED_TRANSACTIONS;
        }
        Sighting::First
    }
}
