//! Builds the dataclasses of `media/events.py`.

use engine::Event;
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
    track_measured: Py<PyAny>,
    subscription_measured: Py<PyAny>,
    engine_failed: Py<PyAny>,
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
            track_measured: class("TrackMeasured")?,
            subscription_measured: class("SubscriptionMeasured")?,
            engine_failed: class("EngineFailed")?,
        })
    }

    /// Makes the Python event: fields go by position, in the order of the dataclass.
    pub(crate) fn build<'py>(&self, py: Python<'py>, notice: Notice) -> PyResult<Bound<'py, PyAny>> {
        let event = match notice {
            Notice::Event(event) => event,
            Notice::ShardFailed { shard, reason } => return self.engine_failed.bind(py).call1((shard, reason)),
        };
        match event {
            Event::TransportReachable { transport, address } => {
                self.transport_reachable.bind(py).call1((transport.0, address.to_string()))
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
            Event::TrackMeasured(totals) => self.track_measured.bind(py).call1((
                totals.transport.0,
                totals.track.0,
                totals.layer,
                totals.packets,
                totals.bytes,
                totals.lost,
                totals.duplicates,
                totals.jitter,
                totals.nacks,
                totals.plis,
                totals.firs,
            )),
            Event::SubscriptionMeasured(totals) => self.subscription_measured.bind(py).call1((
                totals.transport.0,
                totals.subscription.0,
                totals.layer.map_or(-1, i16::from),
                totals.packets,
                totals.bytes,
                totals.retransmitted,
                totals.fraction_lost,
                totals.jitter,
                totals.rtt.unwrap_or(-1.0),
                totals.nacks,
                totals.plis,
                totals.firs,
            )),
        }
    }
}
