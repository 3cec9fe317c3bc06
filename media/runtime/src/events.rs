//! Builds the dataclasses of `media/events.py`.

use engine::command::MAX_LAYERS;
use engine::measure::{Choice, Reported, Requests};
use engine::{Carrier, Event};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::outbox::Notice;

/// The classes of `media.events`, looked up once.
pub(crate) struct EventClasses {
    transport_reachable: Py<PyAny>,
    transport_silent: Py<PyAny>,
    transport_expired: Py<PyAny>,
    datagram_received: Py<PyAny>,
    layers_changed: Py<PyAny>,
    loudness_measured: Py<PyAny>,
    subscription_paused: Py<PyAny>,
    track_measured: Py<PyAny>,
    subscription_measured: Py<PyAny>,
    capture_grew: Py<PyAny>,
    engine_failed: Py<PyAny>,
    choice: Py<PyAny>,
    reported: Py<PyAny>,
    requests: Py<PyAny>,
}

impl EventClasses {
    pub(crate) fn import(py: Python<'_>) -> PyResult<Self> {
        let module = py.import("media.events")?;
        let class = |name| module.getattr(name).map(Bound::unbind);
        Ok(Self {
            transport_reachable: class("TransportReachable")?,
            transport_silent: class("TransportSilent")?,
            transport_expired: class("TransportExpired")?,
            datagram_received: class("DatagramReceived")?,
            layers_changed: class("LayersChanged")?,
            loudness_measured: class("LoudnessMeasured")?,
            subscription_paused: class("SubscriptionPaused")?,
            track_measured: class("TrackMeasured")?,
            subscription_measured: class("SubscriptionMeasured")?,
            capture_grew: class("CaptureGrew")?,
            engine_failed: class("EngineFailed")?,
            choice: class("Choice")?,
            reported: class("Reported")?,
            requests: class("Requests")?,
        })
    }

    /// Makes the Python event: fields go by position, in the order of the dataclass.
    pub(crate) fn build<'py>(&self, py: Python<'py>, notice: Notice) -> PyResult<Bound<'py, PyAny>> {
        let event = match notice {
            Notice::Event(event) => event,
            Notice::ShardFailed { shard, reason } => return self.engine_failed.bind(py).call1((shard, reason)),
        };
        match event {
            Event::TransportReachable { transport, carrier, address } => {
                let protocol = match carrier {
                    Carrier::Udp => "udp",
                    Carrier::Tcp => "tcp",
                };
                self.transport_reachable.bind(py).call1((transport.0, protocol, address.to_string()))
            }
            Event::TransportSilent { transport } => self.transport_silent.bind(py).call1((transport.0,)),
            Event::TransportExpired { transport } => self.transport_expired.bind(py).call1((transport.0,)),
            Event::DatagramReceived { transport, data } => {
                self.datagram_received.bind(py).call1((transport.0, PyBytes::new(py, &data)))
            }
            Event::LayersChanged { transport, track, layers } => {
                self.layers_changed.bind(py).call1((transport.0, track.0, PyTuple::new(py, layers)?))
            }
            Event::LoudnessMeasured { transport, track, loudness } => {
                self.loudness_measured.bind(py).call1((transport.0, track.0, loudness))
            }
            Event::SubscriptionPaused { transport, subscription, paused } => {
                self.subscription_paused.bind(py).call1((transport.0, subscription.0, paused))
            }
            Event::CaptureGrew { transport, capture, data, ended } => {
                self.capture_grew.bind(py).call1((transport.0, capture.0, PyBytes::new(py, &data), ended))
            }
            Event::TrackMeasured(totals) => self.track_measured.bind(py).call1((
                totals.transport.0,
                totals.track.0,
                totals.layer,
                totals.packets,
                totals.bytes,
                totals.lost,
                totals.repaired,
                totals.out_of_order,
                totals.duplicates,
                totals.jitter,
                self.requests(py, totals.requests)?,
            )),
            Event::SubscriptionMeasured(totals) => self.subscription_measured.bind(py).call1((
                totals.transport.0,
                totals.subscription.0,
                self.choice(py, totals.choice)?,
                totals.switches,
                totals.packets,
                totals.bytes,
                totals.retransmitted,
                self.reported(py, totals.reported)?,
                self.requests(py, totals.requests)?,
            )),
        }
    }

    fn choice<'py>(&self, py: Python<'py>, choice: Choice) -> PyResult<Bound<'py, PyAny>> {
        let index = |layer: Option<u8>| layer.map_or(-1, i16::from);
        let available = (0..MAX_LAYERS as u8).filter(|layer| choice.available & 1 << layer != 0);
        self.choice.bind(py).call1((
            index(choice.wanted.map(|wanted| wanted.spatial)),
            index(choice.wanted.map(|wanted| wanted.temporal)),
            PyTuple::new(py, available.collect::<Vec<_>>())?,
            choice.allotted.spatial,
            choice.allotted.temporal,
            index(choice.target),
            index(choice.layer),
        ))
    }

    fn reported<'py>(&self, py: Python<'py>, reported: Reported) -> PyResult<Bound<'py, PyAny>> {
        let Reported { lost, fraction_lost, jitter, rtt } = reported;
        self.reported.bind(py).call1((lost, fraction_lost, jitter, rtt.unwrap_or(-1.0)))
    }

    fn requests<'py>(&self, py: Python<'py>, requests: Requests) -> PyResult<Bound<'py, PyAny>> {
        self.requests.bind(py).call1((requests.nacks, requests.plis, requests.firs))
    }
}
