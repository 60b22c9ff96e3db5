//! The embedded stores as processes that are fed too much, killed, starved of disk and given damaged files.

#[cfg(test)]
mod connections;
#[cfg(test)]
mod cursors;
#[cfg(test)]
mod damaged;
#[cfg(test)]
mod full;
#[cfg(test)]
mod killed;
#[cfg(test)]
mod mongo;
#[cfg(test)]
mod nesting;
#[cfg(test)]
mod process;
#[cfg(test)]
mod resp;
