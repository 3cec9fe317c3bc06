//! How long packets wait on the way: their delay above the least that was seen lately.

/// The least delay counts for one to two of these, in microseconds: clocks drift apart, and routes change.
const MEMORY: i64 = 15_000_000;

/// The queue on the way. Times are in microseconds.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// The least delay of the present span and of the one before.
    least: Option<[i64; 2]>,
    begun: i64,
    /// The least of the last report: what even the luckiest packet waited.
    standing: i64,
}

impl Queue {
    /// Takes the delays of the packets that one report tells of; the clocks at both ends need not agree.
    pub(super) fn note(&mut self, now: i64, delays: impl Iterator<Item = i64>) {
        let Some(delay) = delays.min() else { return };
        let [mut present, mut before] = self.least.unwrap_or([delay; 2]);
        if now - self.begun > MEMORY {
            before = present;
            present = delay;
            self.begun = now;
        }
        present = present.min(delay);
        self.least = Some([present, before]);
        self.standing = delay - present.min(before);
    }

    /// What every packet waits now, in microseconds.
    pub(super) fn standing(&self) -> i64 {
        self.standing
    }
}
