//! Every path, and the methods that it takes: the one list that [`super::server::app`] is made of. What they are called
//! for people is in [`super::openapi`], and a test keeps the two the same.

use actix_web::http::Method;
use actix_web::{FromRequest, Handler, HttpRequest, Resource, Responder, Route, guard, web};

use super::problem::Problem;
use super::{
    activity, assets, asyncapi, changes, health, items, log_in, openapi, rest, rows, stream,
    tables, types, ws,
};

/// All of them. A new one comes here, and its handler into the list in [`super::openapi`].
pub fn routes() -> Vec<Place> {
    vec![
        Place::at("/api/items")
            .get(items::page)
            .on(Method::POST, items::create),
        Place::at("/api/items/{id}")
            .get(items::read)
            .on(Method::PUT, items::replace)
            .on(Method::PATCH, items::patch)
            .on(Method::DELETE, items::delete),
        Place::at("/api/tables").get(tables::list),
        Place::at("/api/types").get(types::read),
        Place::at("/api/tables/{table}/rows").get(rows::read),
        Place::at("/rest").on(Method::POST, rest::batch::run),
        Place::at("/rest/{table}")
            .get(rest::read)
            .on(Method::POST, rest::write::insert)
            .on(Method::PATCH, rest::write::update)
            .on(Method::PUT, rest::write::put)
            .on(Method::DELETE, rest::write::delete),
        Place::at("/api/changes").get(changes::history),
        // HEAD would have no end.
        Place::at("/api/stream").on(Method::GET, stream::events),
        Place::at("/api/session")
            .get(log_in::read)
            .on(Method::POST, log_in::log_in)
            .on(Method::DELETE, log_in::log_out),
        Place::at("/api/login").get(log_in::how),
        Place::at("/api/ticket").on(Method::POST, log_in::ticket),
        Place::at("/ws").get(ws::upgrade_required),
        Place::at("/livez").get(health::livez),
        Place::at("/readyz").get(health::readyz),
        Place::at("/api/activity").get(activity::read),
        Place::at("/metrics").get(health::metrics),
        Place::at("/openapi.json").get(openapi::json),
        Place::at("/asyncapi.json").get(asyncapi::json),
        Place::at("/docs").get(assets::docs),
        Place::at("/").get(assets::index),
        Place::at("/static/{path:.*}").get(assets::file),
    ]
}

/// A path, and what answers there.
pub struct Place {
    /// As actix-web writes it: a part in braces may have a pattern behind a colon.
    path: &'static str,
    methods: Vec<Method>,
    resource: Resource,
}

impl Place {
    fn at(path: &'static str) -> Self {
        let resource = web::resource(path);
        Self {
            path,
            methods: Vec::new(),
            resource,
        }
    }

    /// GET, and HEAD, for which actix-http leaves the body away.
    fn get<F, Args>(mut self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.methods.extend([Method::GET, Method::HEAD]);
        let both = guard::Any(guard::Get()).or(guard::Head());
        self.resource = self.resource.route(Route::new().guard(both).to(handler));
        self
    }

    fn on<F, Args>(mut self, method: Method, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.methods.push(method.clone());
        self.resource = self.resource.route(web::method(method).to(handler));
        self
    }

    /// The path as OpenAPI writes it: without patterns.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for part in self.path.split_inclusive('}') {
            match part.split_once(':') {
                Some((name, _)) => path.extend([name, "}"]),
                None => path.push_str(part),
            }
        }
        path
    }

    /// The methods that it takes.
    pub fn methods(&self) -> &[Method] {
        &self.methods
    }

    /// For actix-web. Every other method is a 405 that says which ones there are.
    pub fn into_resource(self) -> Resource {
        let list: Vec<&str> = self.methods.iter().map(Method::as_str).collect();
        let allow = list.join(", ");
        self.resource
            .default_service(web::to(move || refuse(allow.clone())))
    }
}

async fn refuse(allow: String) -> Result<&'static str, Problem> {
    Err(Problem::method(&allow))
}

/// What has no path.
///
/// # Errors
/// Always 404.
pub async fn nowhere(request: HttpRequest) -> Result<&'static str, Problem> {
    Err(Problem::not_found(format!(
        "there is nothing at {}",
        request.path()
    )))
}
