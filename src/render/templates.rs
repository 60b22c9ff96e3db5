//! The templates inside this binary. Data only.

const TEMPLATES: &[(&str, &str)] = &[
    ("compose/.env.example", include_str!("../../templates/compose/env.example.tera")),
    ("compose/Dockerfile", include_str!("../../templates/compose/Dockerfile.tera")),
    ("compose/docker-compose.yml", include_str!("../../templates/compose/docker-compose.yml.tera")),
    ("compose/haproxy.cfg", include_str!("../../templates/compose/haproxy.cfg.tera")),
];

/// The names of all templates: the target's folder and the document.
pub fn names() -> impl Iterator<Item = &'static str> {
    TEMPLATES.iter().map(|(name, _)| *name)
}

/// The text of one template.
pub fn text(name: &str) -> Option<&'static str> {
    TEMPLATES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The templates of one folder.
pub fn under(folder: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    TEMPLATES
        .iter()
        .copied()
        .filter(move |(name, _)| name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')))
}
