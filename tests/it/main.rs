#[cfg(test)]
mod embedded_redis;

fn main() {}
