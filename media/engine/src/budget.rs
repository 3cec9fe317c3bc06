//! How much of a subscription may be sent again: as much as its receiver says that it loses, and no more.

use crate::command::Kind;

/// Of video without reported loss: requests for what had only overtaken each other, and bursts that no report told of yet.
/// Who asks for everything and reports no loss gets 1.2 times the stream (FAULTS row 39).
const LEAST_VIDEO: f64 = 0.2;
/// Repairs 30 % of loss, those lost again included; a link that loses more needs a lower rate.
const MOST_VIDEO: f64 = 0.5;
/// Of sound: without RTX what was repaired counts as received, so that reports tell of less than was lost.
const LEAST_AUDIO: f64 = 0.5;
/// Repairs 50 %. All of one voice twice is less than a tenth of a picture.
const MOST_AUDIO: f64 = 1.0;
/// Above the bare need of `loss / (1 - loss)`, for loss that grows.
const MARGIN: f64 = 1.25;
/// What is left of the part at the next report that tells of less: a burst's repairs come after it.
const FALL: f64 = 0.75;
/// What may be sent again at once, in bytes: a burst that no report told of yet. Of video a second's loss of 30 % at
/// 3 Mbit/s; of sound four seconds of one voice.
const BURST_VIDEO: f64 = 100_000.0;
const BURST_AUDIO: f64 = 20_000.0;

/// This part of them is never spent on second copies.
const KEPT: f64 = 0.5;

/// The bytes that may be sent again.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes: f64,
    burst: f64,
    /// Of each byte that is sent first.
    part: f64,
    least: f64,
    most: f64,
}

impl Budget {
    /// Full, as no report has come yet.
    pub(crate) fn new(kind: Kind) -> Self {
        let (burst, least, most) = match kind {
            Kind::Video => (BURST_VIDEO, LEAST_VIDEO, MOST_VIDEO),
            Kind::Audio => (BURST_AUDIO, LEAST_AUDIO, MOST_AUDIO),
        };
        Self { bytes: burst, burst, part: least, least, most }
    }

    /// The receiver has reported the part (0..=1) that it lost since its last report; each packet of that is sent `copies` times.
    pub(crate) fn note_loss(&mut self, lost: f64, copies: f64) {
        let need = copies * MARGIN * lost / (1.0 - lost).max(f64::EPSILON);
        self.part = need.max(self.part * FALL).clamp(self.least, self.most);
    }

    /// So many bytes were sent for the first time.
    pub(crate) fn earn(&mut self, bytes: usize) {
        self.bytes = (self.bytes + bytes as f64 * self.part).min(self.burst);
    }

    /// The same for what may as well not be sent: so much is kept for what must.
    pub(crate) fn spare(&mut self, bytes: usize) -> bool {
        self.bytes >= KEPT * self.burst && self.spend(bytes)
    }

    /// Whether so many bytes may be sent again; they are then spent.
    pub(crate) fn spend(&mut self, bytes: usize) -> bool {
        let bytes = bytes as f64;
        let suffices = bytes <= self.bytes;
        if suffices {
            self.bytes -= bytes;
        }
        suffices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets of 1000 bytes sent again, of 1000 sent, by one who asks for each after the burst was spent.
    fn sent_again(kind: Kind, lost: f64) -> usize {
        let mut budget = Budget::new(kind);
        while budget.spend(1000) {}
        budget.note_loss(lost, 1.0);
        let mut again = 0;
        for _ in 0..1000 {
            budget.earn(1000);
            while budget.spend(1000) {
                again += 1;
            }
        }
        again
    }

    #[test]
    fn reported_loss_is_paid_for_and_more_is_not() {
        assert_eq!(sent_again(Kind::Video, 0.0), 200);
        assert_eq!(sent_again(Kind::Video, 0.1), 200);
        assert!((308..=318).contains(&sent_again(Kind::Video, 0.2)));
        assert!(sent_again(Kind::Video, 0.3) >= 430, "a packet may be lost again");
        assert_eq!(sent_again(Kind::Video, 1.0), 500);
        assert!((499..=500).contains(&sent_again(Kind::Audio, 0.1)));
        assert!(sent_again(Kind::Audio, 0.4) >= 660);
        assert_eq!(sent_again(Kind::Audio, 1.0), 1000);
    }

    #[test]
    fn it_falls_slowly_when_the_loss_ends() {
        let mut budget = Budget::new(Kind::Video);
        budget.note_loss(0.3, 1.0);
        budget.note_loss(0.0, 1.0);
        assert!(budget.part > 0.35);
        (0..5).for_each(|_| budget.note_loss(0.0, 1.0));
        assert!(budget.part <= LEAST_VIDEO);
    }
}
