//! The names of the service's metrics that monitoring reads: a metric that is renamed changes here. Pure.

/// Requests by route, method and status.
pub(super) const REQUESTS: &str = "http_requests_total";
/// How long they took.
pub(super) const DURATIONS: &str = "http_request_duration_seconds_bucket";
/// Time on the processor, in seconds.
pub(super) const CPU: &str = "process_cpu_seconds_total";
/// Resident memory, in bytes.
pub(super) const MEMORY: &str = "process_resident_memory_bytes";
/// When the process started, in seconds since 1970.
pub(super) const STARTED: &str = "process_start_time_seconds";
/// 1 while the limit is counted in Redis; absent with the limit off.
pub(super) const LIMIT_SHARED: &str = "ratelimit_backend_up";
/// Connections that carry an operation.
pub(super) const POOL_IN_USE: &str = "mongodb_pool_in_use_connections";
/// Open connections.
pub(super) const POOL_OPEN: &str = "mongodb_pool_open_connections";
/// Most connections, as configured.
pub(super) const POOL_MAX: &str = "mongodb_pool_max_connections";
/// Reads that the cache could answer, or not, by [`OUTCOME`].
pub(super) const CACHE: &str = "cache_requests_total";
/// Whether MongoDB answers the replica.
pub(super) const MONGODB_UP: &str = "mongodb_client_up";
/// Whether Redis answers the replica.
pub(super) const REDIS_UP: &str = "redis_client_up";
/// Whether the app behind a front answers.
pub(super) const APP_UP: &str = "upstream_ready";

/// The label of a response's status: `200`, or `2xx` for one without a name.
pub(super) const STATUS: &str = "status";
/// The label that separates refusals from what counts for latency.
pub(super) const OUTCOME: &str = "outcome";
/// The outcome of a request that the limit refused.
pub(super) const OUTCOME_LIMITED: &str = "limited";
/// The label of a bucket's upper bound, in seconds.
pub(super) const BOUND: &str = "le";
/// Reads that the cache could answer.
pub(super) const OUTCOME_HIT: &str = "hit";
/// Reads that it had no answer for; those without Redis are neither.
pub(super) const OUTCOME_MISS: &str = "miss";

/// The upper bounds that histories keep, in milliseconds: those of the service. Buckets of other bounds are added to the next one.
pub(super) use appforge_service::contract::LATENCY_BOUNDS_MS as BOUNDS_MS;
