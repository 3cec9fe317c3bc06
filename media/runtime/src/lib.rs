//! Threads and sockets that drive the engine.
