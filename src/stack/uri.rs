//! The address of MongoDB as an app of the user's own gets it: with the settings of the pool, which any driver reads from there
//! (<https://github.com/mongodb/specifications/blob/master/source/uri-options/uri-options.md>). Pure.

use crate::stack::model::Pool;

/// An address for an app.
pub(crate) struct AppUri {
    /// With what it lacked.
    pub(crate) uri: String,
    /// The options that it had already, with another value than the stack's; they win.
    pub(crate) kept: Vec<&'static str>,
}

/// `uri` with the database, the pool's settings and the name that the app's connections have.
pub(crate) fn for_app(uri: &str, database: &str, pool: &Pool, app_name: &str) -> AppUri {
    let (address, query) = uri.split_once('?').unwrap_or((uri, ""));
    let (scheme, rest) = address.split_once("://").unwrap_or(("mongodb", address));
    let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut options: Vec<(String, String)> = query
        .split('&')
        .filter(|option| !option.is_empty())
        .map(|option| option.split_once('=').unwrap_or((option, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut kept = Vec::new();
    let own = [
        ("maxPoolSize", pool.max.to_string()),
        ("minPoolSize", pool.min.to_string()),
        ("maxIdleTimeMS", pool.max_idle.millis().to_string()),
        ("serverSelectionTimeoutMS", pool.server_selection_timeout.millis().to_string()),
        ("socketTimeoutMS", pool.socket_timeout.millis().to_string()),
        ("appName", app_name.to_owned()),
    ];
    let find = |options: &[(String, String)], name: &str| {
        options.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
    };
    for (name, value) in own {
        match find(&options, name) {
            None => options.push((name.to_owned(), value)),
            Some(given) if given == value => {}
            Some(_) => kept.push(name),
        }
    }
    let path = if path.is_empty() { database } else { path };
    // The database of the path is also the one of the credentials, unless another is named.
    // Other mechanisms than passwords look elsewhere by themselves.
    let by_password = find(&options, "authMechanism").is_none_or(|mechanism| mechanism.starts_with("SCRAM"));
    let lacks = by_password && hosts.contains('@') && find(&options, "authSource").is_none();
    if address_lacks_database(rest) && lacks {
        options.push(("authSource".to_owned(), "admin".to_owned()));
    }
    let query: Vec<String> = options.iter().map(|(name, value)| format!("{name}={value}")).collect();
    AppUri { uri: format!("{scheme}://{hosts}/{path}?{}", query.join("&")), kept }
}

fn address_lacks_database(rest: &str) -> bool {
    rest.split_once('/').is_none_or(|(_, path)| path.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::Stack;

    fn uri(uri: &str) -> AppUri {
        for_app(uri, "shop", &Stack::default().mongodb.pool, "shop")
    }

    const POOL: &str = "maxPoolSize=50&minPoolSize=10&maxIdleTimeMS=30000&serverSelectionTimeoutMS=5000&socketTimeoutMS=45000";

    #[test]
    fn pool_of_the_stack_is_in_the_address() {
        let expected = format!("mongodb://127.0.0.1:27017/shop?{POOL}&appName=shop");
        for given in
            ["mongodb://127.0.0.1:27017", "mongodb://127.0.0.1:27017/", "mongodb://127.0.0.1:27017/?"]
        {
            assert_eq!(uri(given).uri, expected);
        }
    }

    #[test]
    fn credentials_are_looked_up_where_they_were() {
        let with = uri("mongodb+srv://u:p@h/");
        assert_eq!(with.uri, format!("mongodb+srv://u:p@h/shop?{POOL}&appName=shop&authSource=admin"));
        let named = uri("mongodb://u:p@a,b/orders?replicaSet=rs0");
        assert_eq!(named.uri, format!("mongodb://u:p@a,b/orders?replicaSet=rs0&{POOL}&appName=shop"));
    }

    #[test]
    fn login_without_a_password_keeps_its_own_source() {
        let given = uri("mongodb+srv://KEY:SECRET@h/?authMechanism=MONGODB-AWS");
        assert!(!given.uri.contains("authSource"), "{}", given.uri);
    }

    #[test]
    fn options_of_the_address_win_and_are_reported() {
        let given = uri("mongodb://h/?MaxPoolSize=7&minPoolSize=10&appname=mine");
        assert_eq!(given.kept, ["maxPoolSize", "appName"]);
        assert!(
            given.uri.contains("MaxPoolSize=7") && !given.uri.contains("maxPoolSize=50"),
            "{}",
            given.uri
        );
    }
}
