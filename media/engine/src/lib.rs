//! The packet engine: ICE, SRTP, RTP, RTCP and forwarding as plain data, fed with bytes and a time.
#![forbid(unsafe_code)]
