//! What one direction of a network does to its packets, and its settings as text.

use std::time::Duration;

/// How much may wait in front of a bottleneck.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// As long as the rate takes to send it.
    Time(Duration),
    Bytes(usize),
}

/// What one direction does to its packets: first the bottleneck with its queue, then the way behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weather {
    /// Share of packets that are lost, 0 to 1.
    pub loss: f64,
    /// Mean number of packets lost in a row (Gilbert's model). What chance alone makes, `1 / (1 - loss)`, or less is
    /// independent loss.
    pub burst: f64,
    pub delay: Duration,
    /// Up to this much is added to the delay of each packet, so that they overtake each other.
    pub jitter: Duration,
    /// Share of packets that are held back by [`Weather::HELD_BACK`].
    pub reordering: f64,
    /// Share of packets that arrive twice.
    pub duplication: f64,
    /// Share of packets that arrive with one bit changed.
    pub corruption: f64,
    /// Bits a second of the bottleneck, whole IP packets counted; `None` is no bottleneck.
    pub rate: Option<u64>,
    /// What does not fit into the queue is dropped as it comes.
    pub queue: Bound,
}

impl Default for Weather {
    /// A perfect network.
    fn default() -> Self {
        Self {
            loss: 0.0,
            burst: 1.0,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            reordering: 0.0,
            duplication: 0.0,
            corruption: 0.0,
            rate: None,
            queue: Bound::Time(Self::QUEUE),
        }
    }
}

impl Weather {
    /// A wired line nearby.
    pub fn clear() -> Self {
        Self { delay: Duration::from_millis(5), ..Self::default() }
    }

    /// Loss and a delay in milliseconds.
    pub fn lossy(loss: f64, delay: u64) -> Self {
        Self { loss, delay: Duration::from_millis(delay), ..Self::default() }
    }

    /// Much at once.
    pub fn stormy(loss: f64) -> Self {
        Self {
            loss,
            delay: Duration::from_millis(30),
            jitter: Duration::from_millis(15),
            duplication: 0.02,
            ..Self::default()
        }
    }

    /// A bottleneck of `rate` bits a second with [`Weather::QUEUE`] in front, and a delay in milliseconds.
    pub fn narrow(rate: u64, delay: u64) -> Self {
        Self { rate: Some(rate), delay: Duration::from_millis(delay), ..Self::default() }
    }

    /// The next two packets of sound overtake what is held back.
    pub const HELD_BACK: Duration = Duration::from_millis(50);
    /// What home routers have, roughly: enough that a sender who fills it hurts.
    pub const QUEUE: Duration = Duration::from_millis(300);

    /// Changes one setting by its text: `loss=10%`, `burst=8`, `delay=50ms`, `jitter=20ms`, `reorder=25%`,
    /// `duplicate=20%`, `corrupt=1%`, `rate=500k` (bits a second) or `rate=unlimited`, `queue=300ms` or `queue=60kB`;
    /// `perfect` takes all back.
    pub fn set(&mut self, text: &str) -> Result<(), String> {
        if text == "perfect" {
            *self = Self::default();
            return Ok(());
        }
        let (name, value) = text.split_once('=').ok_or_else(|| format!("{text}: expected NAME=VALUE or perfect"))?;
        let refused = |expected: &str| format!("{name}: got {value}, expected {expected}");
        match name {
            "loss" => self.loss = share(value).ok_or_else(|| refused(SHARE))?,
            "reorder" => self.reordering = share(value).ok_or_else(|| refused(SHARE))?,
            "duplicate" => self.duplication = share(value).ok_or_else(|| refused(SHARE))?,
            "corrupt" => self.corruption = share(value).ok_or_else(|| refused(SHARE))?,
            "burst" => {
                let burst = value.parse().ok().filter(|burst| (1.0..=1e6).contains(burst));
                self.burst = burst.ok_or_else(|| refused("a mean number of packets from 1"))?;
            }
            "delay" => self.delay = span(value).ok_or_else(|| refused(SPAN))?,
            "jitter" => self.jitter = span(value).ok_or_else(|| refused(SPAN))?,
            "rate" if value == "unlimited" => self.rate = None,
            "rate" => self.rate = Some(rate(value).ok_or_else(|| refused("500k, 2M or unlimited, in bits a second"))?),
            "queue" => self.queue = bound(value).ok_or_else(|| refused("a time as 300ms or a size as 60kB"))?,
            _ => return Err(format!("{name}: no such setting")),
        }
        Ok(())
    }
}

const SHARE: &str = "0% to 100%";
const SPAN: &str = "a time as 50ms or 2s";

fn number(text: &str, greatest: f64) -> Option<f64> {
    text.parse().ok().filter(|number| (0.0..=greatest).contains(number))
}

fn share(text: &str) -> Option<f64> {
    number(text.strip_suffix('%')?, 100.0).map(|percent| percent / 100.0)
}

fn span(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at(text.find(|sign: char| sign.is_ascii_alphabetic())?);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        _ => return None,
    };
    // A minute on the way is no network any more.
    number(digits, 60_000.0).map(|number| number * seconds).filter(|span| *span <= 60.0).map(Duration::from_secs_f64)
}

/// A number with `k` or `M` behind it, at least 1.
fn scaled(text: &str) -> Option<u64> {
    let (digits, scale) = match text.as_bytes().last()? {
        b'k' => (&text[..text.len() - 1], 1e3),
        b'M' => (&text[..text.len() - 1], 1e6),
        _ => (text, 1.0),
    };
    number(digits, 1e9).map(|number| (number * scale) as u64).filter(|number| *number > 0)
}

fn rate(text: &str) -> Option<u64> {
    scaled(text).filter(|rate| *rate >= 1000)
}

fn bound(text: &str) -> Option<Bound> {
    match text.strip_suffix('B') {
        Some(size) => scaled(size).map(|bytes| Bound::Bytes(bytes as usize)),
        None => span(text).map(Bound::Time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read() {
        let mut weather = Weather::default();
        for text in "loss=12.5% burst=8 delay=50ms jitter=1s reorder=25% duplicate=20% corrupt=1% rate=1.5M queue=60kB"
            .split(' ')
        {
            weather.set(text).unwrap();
        }
        let expected = Weather {
            loss: 0.125,
            burst: 8.0,
            delay: Duration::from_millis(50),
            jitter: Duration::from_secs(1),
            reordering: 0.25,
            duplication: 0.2,
            corruption: 0.01,
            rate: Some(1_500_000),
            queue: Bound::Bytes(60_000),
        };
        assert_eq!(weather, expected);
        weather.set("rate=unlimited").unwrap();
        weather.set("queue=100ms").unwrap();
        assert_eq!((weather.rate, weather.queue), (None, Bound::Time(Duration::from_millis(100))));
        weather.set("perfect").unwrap();
        assert_eq!(weather, Weather::default());
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_changes_nothing() {
        let mut weather = Weather::default();
        for text in [
            "",
            "loss",
            "loss=",
            "loss=5",
            "loss=101%",
            "loss=-1%",
            "loss=NaN%",
            "delay=5",
            "delay=-1s",
            "delay=1h",
            "delay=2000s",
            "rate=0",
            "rate=999",
            "rate=fast",
            "rate=k",
            "burst=0",
            "queue=5",
            "queue=B",
            "wind=3",
        ] {
            assert!(weather.set(text).is_err(), "{text}");
        }
        assert_eq!(weather, Weather::default());
    }
}
