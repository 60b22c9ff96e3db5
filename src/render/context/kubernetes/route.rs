//! The way from the public host name to the service: an Ingress, or a route of the Gateway API. TLS always. Pure.

use anyhow::Result;
use serde::Serialize;

use super::object::{Component, Labels, Object, pair};
use super::{Drafts, names};
use crate::stack::Stack;
use crate::stack::kubernetes::RouteApi;

#[derive(Serialize)]
struct Route {
    object: Object,
    host: String,
    class: Option<String>,
    tls_secret: String,
    gateway: Parent,
    service: String,
    port: u16,
}

/// The gateway that a route hangs on.
#[derive(Clone, Default, Serialize)]
struct Parent {
    namespace: String,
    name: String,
    /// The listeners of a gateway of ours; one that is there has its own names.
    own: bool,
}

pub(super) fn add(drafts: &mut Drafts<'_>, stack: &Stack) -> Result<()> {
    let Some(host) = &stack.kubernetes.ingress else { return Ok(()) };
    let route = &stack.kubernetes.route;
    let labels = Labels::of(stack, Component::Service);
    let service = names::service(stack);
    let namespace = stack.kubernetes.namespace.as_str();
    let there = route.gateway.as_deref().and_then(|gateway| gateway.split_once('/'));
    let parent = match there {
        Some((namespace, name)) => {
            Parent { namespace: namespace.to_owned(), name: name.to_owned(), own: false }
        }
        None => Parent { namespace: namespace.to_owned(), name: service.clone(), own: true },
    };
    let context = |name: &str| Route {
        object: labels.object(name),
        host: host.clone(),
        class: route.class.clone(),
        tls_secret: route.tls_secret.clone().unwrap_or_else(|| format!("{}-tls", stack.name)),
        gateway: parent.clone(),
        service: service.clone(),
        port: stack.service.port,
    };
    // cert-manager reads it from the object that names the certificate's Secret.
    let with_issuer = |mut context: Route| {
        let issuer = route.issuer.as_ref().map(|issuer| pair("cert-manager.io/cluster-issuer", issuer));
        context.object.annotations.extend(issuer);
        context
    };
    match route.api {
        RouteApi::Ingress => drafts.add("ingress.yaml", "ingress.yaml", &with_issuer(context(&service))),
        RouteApi::Gateway => {
            if parent.own {
                drafts.add("gateway.yaml", "gateway.yaml", &with_issuer(context(&service)))?;
                let redirect = context(&format!("{service}-redirect"));
                drafts.add("redirect.yaml", "redirect.yaml", &redirect)?;
            }
            drafts.add("httproute.yaml", "httproute.yaml", &context(&service))
        }
    }
}
