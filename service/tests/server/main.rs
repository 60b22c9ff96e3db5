//! The whole service over real sockets.

#[cfg(test)]
mod drain;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod measures;
#[cfg(test)]
mod nesting;
#[cfg(test)]
mod process;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod support;
#[cfg(test)]
mod whole;
