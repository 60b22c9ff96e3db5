//! The whole service over real sockets.

#[cfg(test)]
mod whole;
