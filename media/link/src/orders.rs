//! What is ordered line by line on standard input, and what is answered.

use std::time::{Duration, Instant};

use link::{Line, Packet, Weather};

/// The line towards the clients, and the one from them.
pub(crate) const DIRECTIONS: [&str; 2] = ["down", "up"];

/// Carries out one order and answers with one JSON object. `down`, `up` or `both` with settings changes the weather: all
/// of them or, where one is wrong, none. `statistics` tells, and starts the quantiles of the queues anew.
pub(crate) fn obey<P: Packet>(order: &str, now: Instant, lines: &mut [Line<P>; 2]) -> String {
    let mut words = order.split_whitespace();
    let which = words.next().unwrap_or_default();
    if which == "statistics" {
        let told = [tell(DIRECTIONS[0], now, &mut lines[0]), tell(DIRECTIONS[1], now, &mut lines[1])];
        return format!("{{{}}}", told.join(", "));
    }
    let chosen = DIRECTIONS.map(|direction| which == direction || which == "both");
    if !chosen.contains(&true) {
        return refusal(&format!("{which}: expected down, up, both or statistics"));
    }
    let mut weathers = [lines[0].weather(), lines[1].weather()];
    for setting in words {
        for (weather, _) in weathers.iter_mut().zip(chosen).filter(|(_, chosen)| *chosen) {
            if let Err(problem) = weather.set(setting) {
                return refusal(&problem);
            }
        }
    }
    lines.iter_mut().zip(weathers).for_each(|(line, weather)| line.change(now, weather));
    "{}".to_owned()
}

fn refusal(problem: &str) -> String {
    format!(r#"{{"error": {problem:?}}}"#)
}

/// One direction as a member of a JSON object. Milliseconds for the waits in the queue.
fn tell<P: Packet>(name: &str, now: Instant, line: &mut Line<P>) -> String {
    let queued = line.queue_delay(now);
    let queue = line.take_queue_delays();
    let of = line.statistics();
    let whole = [
        ("sent", of.sent),
        ("sent_bytes", of.sent_bytes),
        ("delivered", of.delivered),
        ("delivered_bytes", of.delivered_bytes),
        ("lost", of.lost),
        ("dropped", of.dropped),
        ("duplicated", of.duplicated),
        ("held_back", of.held_back),
        ("corrupted", of.corrupted),
        ("queue_ms", Duration::as_millis(&queued) as u64),
        ("queue_ms_p50", queue.quantile(0.5)),
        ("queue_ms_p95", queue.quantile(0.95)),
        ("queue_ms_max", queue.quantile(1.0)),
    ];
    let members: Vec<String> = whole.iter().map(|(key, value)| format!(r#""{key}": {value}"#)).collect();
    format!(r#""{name}": {{{}}}"#, members.join(", "))
}

/// The weather that both directions begin with.
pub(crate) fn lines<P: Packet>(now: Instant, seed: u64) -> [Line<P>; 2] {
    [seed, !seed].map(|seed| Line::new(now, Weather::default(), seed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ip_packet::IpPacket;

    #[expect(clippy::disallowed_methods, reason = "a start for virtual time")]
    fn clear() -> (Instant, [Line<IpPacket>; 2]) {
        let now = Instant::now();
        (now, lines(now, 1))
    }

    #[test]
    fn orders_change_one_direction_or_both() {
        let (now, mut lines) = clear();
        assert_eq!(obey("down rate=500k queue=300ms", now, &mut lines), "{}");
        assert_eq!(lines[0].weather().rate, Some(500_000));
        assert_eq!(lines[1].weather(), Weather::default());
        assert_eq!(obey("both perfect loss=50%", now, &mut lines), "{}");
        assert_eq!(lines[0].weather(), Weather { loss: 0.5, ..Weather::default() });
        assert_eq!(lines[1].weather(), lines[0].weather());
    }

    #[test]
    fn a_wrong_order_is_refused_whole() {
        let (now, mut lines) = clear();
        assert_eq!(obey("up loss=5% loss=5", now, &mut lines), r#"{"error": "loss: got 5, expected 0% to 100%"}"#);
        assert!(obey("sideways loss=5%", now, &mut lines).contains("error"));
        assert!(obey("", now, &mut lines).contains("error"));
        assert!(lines.iter().all(|line| line.weather() == Weather::default()));
    }

    #[test]
    fn statistics_are_one_object_of_two() {
        let (now, mut lines) = clear();
        obey("down rate=8k", now, &mut lines);
        for _ in 0..2 {
            lines[0].send(now, IpPacket(vec![0; 100]));
        }
        let told = obey("statistics", now, &mut lines);
        assert!(told.starts_with(r#"{"down": {"sent": 2, "sent_bytes": 200, "delivered": 0"#), "{told}");
        assert!(told.contains(r#""queue_ms": 200, "#), "{told}");
        assert!(told.contains(r#"}, "up": {"sent": 0"#), "{told}");
    }
}
