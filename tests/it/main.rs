//! The one test binary of the command line: each module runs the real `appforge` in a folder of its own.

#[cfg(test)]
mod accept_loss;
#[cfg(test)]
mod alerts;
#[cfg(test)]
mod compose;
#[cfg(test)]
mod config;
#[cfg(test)]
mod cost;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod embedded_mongodb;
#[cfg(test)]
mod embedded_redis;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod exit_codes;
#[cfg(test)]
mod exporter;
#[cfg(test)]
mod external_redis;
#[cfg(test)]
mod help;
#[cfg(test)]
mod image;
#[cfg(test)]
mod init;
#[cfg(test)]
mod items;
#[cfg(test)]
mod kubernetes;
#[cfg(test)]
mod load;
#[cfg(test)]
mod local;
#[cfg(test)]
mod manifests;
#[cfg(test)]
mod monitor;
#[cfg(test)]
mod net;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod prometheus;
#[cfg(test)]
mod reach;
#[cfg(test)]
mod registry;
#[cfg(test)]
mod render;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod serve;
#[cfg(test)]
mod stack;
#[cfg(test)]
mod state_folder;
#[cfg(test)]
mod store_scripts;
#[cfg(test)]
mod support;
#[cfg(test)]
mod terminal;
#[cfg(test)]
mod texts;
#[cfg(test)]
mod trust;
#[cfg(test)]
mod unreadable;

#[test]
fn tests_with_needs_are_included_on_ci() {
    appforge_testing::need::assert_included_on_ci();
}
