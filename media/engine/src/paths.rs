//! Which transport, here or on another shard, the datagrams of a path belong to.

use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use crate::batch::Path;

/// Paths of other shards that one shard remembers: far more than one machine serves, and under 1 MB.
const MAX_FOREIGN: usize = 8192;
/// A claimed path that is not used for this long is forgotten; the next check claims it anew.
const FOREIGN_IDLE: Duration = Duration::from_secs(60);

/// Where the datagrams of a path go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The transport at this place of this shard.
    Here(usize),
    Shard(u16),
}

#[derive(Clone, Copy, Debug)]
struct Route {
    owner: Owner,
    used: Instant,
}

/// The paths that passed a keyed check.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    routes: FxHashMap<Path, Route>,
    foreign: usize,
}

impl Paths {
    /// Whose path this is, noting that it is in use.
    pub(crate) fn find(&mut self, now: Instant, path: Path) -> Option<Owner> {
        let route = self.routes.get_mut(&path)?;
        route.used = now;
        Some(route.owner)
    }

    /// Whose path this is, without using it.
    pub(crate) fn owner(&self, path: Path) -> Option<Owner> {
        self.routes.get(&path).map(|route| route.owner)
    }

    /// Gives a path to an owner: the last keyed check counts.
    pub(crate) fn claim(&mut self, now: Instant, path: Path, owner: Owner) {
        if matches!(owner, Owner::Shard(_)) && self.foreign >= MAX_FOREIGN && !self.routes.contains_key(&path) {
            self.make_room(now);
        }
        let old = self.routes.insert(path, Route { owner, used: now });
        self.foreign += usize::from(matches!(owner, Owner::Shard(_)));
        self.foreign -= usize::from(old.is_some_and(|route| matches!(route.owner, Owner::Shard(_))));
    }

    /// Forgets a path where it still belongs to `owner`.
    pub(crate) fn release(&mut self, path: Path, owner: Owner) {
        if self.routes.get(&path).is_some_and(|route| route.owner == owner) {
            self.routes.remove(&path);
            self.foreign -= usize::from(matches!(owner, Owner::Shard(_)));
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.routes.len()
    }

    /// Forgets the foreign paths out of use, or else the one longest unused.
    fn make_room(&mut self, now: Instant) {
        let is_foreign = |route: &Route| matches!(route.owner, Owner::Shard(_));
        self.routes.retain(|_, route| !is_foreign(route) || now.duration_since(route.used) < FOREIGN_IDLE);
        self.foreign = self.routes.values().filter(|route| is_foreign(route)).count();
        if self.foreign >= MAX_FOREIGN {
            let foreign = self.routes.iter().filter(|(_, route)| is_foreign(route));
            if let Some(path) = foreign.min_by_key(|(_, route)| route.used).map(|(path, _)| *path) {
                self.routes.remove(&path);
                self.foreign -= 1;
            }
        }
    }
}
