//! Nix on this machine.

use std::time::Duration;

use async_trait::async_trait;
use deploy::{
    Attribute, BuildError, BuildRequest, BuildRoot, CollectError, Connections, CopyError,
    FlakeSource, Freed, InputAccess, MinFree, NixSettings, Specialisation, SshError, Toplevel,
};
use desired_state::RepositoryName;
use planning::model::spec::{RepositoryAccess, RepositoryConfig};

use crate::config::Config;
use crate::context::ports::{EvaluationResults, Nix, Way};
use crate::telemetry::disk;

/// Where the Nix store is.
const NIX_STORE: &str = "/nix/store";

/// Nix on this machine, and the way from it to hosts.
#[derive(Debug)]
pub struct LocalNix {
    nix: deploy::Nix,
    connections: Connections,
}

impl LocalNix {
    pub(super) fn new(settings: NixSettings, connections: Connections) -> Self {
        Self {
            nix: deploy::Nix::new(settings),
            connections,
        }
    }

    async fn reach(&self, way: &Way) -> Result<deploy::Connection, SshError> {
        let destinations = &way.destinations;
        self.connections.reach(destinations, way.connect).await
    }
}

#[async_trait]
impl Nix for LocalNix {
    async fn evaluate(
        &self,
        source: &FlakeSource,
        attributes: &[Attribute],
        timeout: Duration,
    ) -> EvaluationResults {
        self.nix.evaluate(source, attributes, timeout).await
    }

    async fn build(
        &self,
        request: &BuildRequest,
        on_host: Option<&Way>,
    ) -> Result<Toplevel, BuildError> {
        let host = match on_host {
            Some(way) => Some(self.reach(way).await.map_err(BuildError::Ssh)?),
            None => None,
        };
        self.nix.build(request, host.as_ref()).await
    }

    async fn platform_of(&self, toplevel: &Toplevel) -> Option<String> {
        deploy::platform_of(toplevel).await
    }

    async fn unswitchable(
        &self,
        toplevel: &Toplevel,
        specialised: Option<&Specialisation>,
    ) -> Option<String> {
        deploy::unswitchable(toplevel, specialised).await
    }

    async fn copy(
        &self,
        toplevel: &Toplevel,
        way: &Way,
        min_free: MinFree,
        timeout: Duration,
    ) -> Result<(), CopyError> {
        let host = self.reach(way).await.map_err(CopyError::Ssh)?;
        self.nix.copy(toplevel, &host, min_free, timeout).await
    }

    async fn collect_garbage(&self, timeout: Duration) -> Result<Freed, CollectError> {
        self.nix.collect_garbage(timeout).await
    }

    async fn build_roots(&self) -> std::io::Result<Vec<BuildRoot>> {
        self.nix.build_roots().await
    }

    async fn let_go(&self, root: &BuildRoot) -> std::io::Result<()> {
        self.nix.let_go(root).await
    }

    fn free_bytes(&self) -> Option<u64> {
        disk::free(NIX_STORE.as_ref()).ok()
    }
}

/// How Nix is used for what belongs to no repository.
pub(super) fn settings(config: &Config) -> NixSettings {
    let state = &config.state_directory;
    let scratch = state.join("scratch");
    NixSettings {
        gc_roots: state.join("gcroots"),
        ssh_config: config.ssh.config_file.clone(),
        access: InputAccess::None,
        secret_key: config.store.secret_key_file.clone(),
        cache: scratch.join("cache"),
        scratch,
    }
}

/// How Nix is used for one repository: with the key or token that opens it, which no other gets to see.
pub(super) fn settings_of(
    name: &RepositoryName,
    repository: &RepositoryConfig,
    config: &Config,
) -> NixSettings {
    let access = match &repository.access {
        RepositoryAccess::None => InputAccess::None,
        RepositoryAccess::SshKey { key, known_hosts } => InputAccess::SshKey {
            key: key.clone(),
            known_hosts: known_hosts.clone(),
        },
        RepositoryAccess::Token { file, user } => InputAccess::Token {
            host: server_of(&repository.url),
            username: user.clone(),
            file: file.clone(),
        },
    };
    let common = settings(config);
    NixSettings {
        access,
        scratch: common.scratch.join("access").join(name.as_ref()),
        ..common
    }
}

/// The server of an HTTP URL, without user: its name, and the port where one is written, because git gives a
/// credential to no other port than that (gitcredentials(7), "CREDENTIAL CONTEXTS").
fn server_of(url: &str) -> String {
    let uri = url.parse::<http::Uri>().ok();
    let uri = uri.filter(|uri| uri.scheme().is_some());
    let authority = uri.as_ref().and_then(http::Uri::authority);
    let authority = authority.map_or("", |authority| authority.as_str());
    let server = authority.rsplit_once('@').map(|(_, server)| server);
    server.unwrap_or(authority).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Source, parse};

    /// Two repositories of one server, each with a token of its own.
    const TWO: &str = r#"
[repositories."infra-team/infra"]
url = "https://gitea.example:3000/infra-team/infra.git"
token_file = "infra-token"
[repositories."home-team/infra"]
url = "https://gitea.example:3000/home-team/infra.git"
token_file = "home-token"
[hosts.cyt-pi]
repository = "infra-team/infra"
[hosts.uConsole]
repository = "home-team/infra"
"#;

    /// How Nix is used for each of them.
    fn settings() -> Vec<NixSettings> {
        let source = Source {
            file: "/etc/reconcile/reconcile.toml".into(),
            text: TWO.to_owned(),
            working_directory: "/".into(),
        };
        let config = parse(source, &Environment::default()).unwrap().config;
        let repositories = config.repositories.iter();
        repositories
            .map(|(name, repository)| settings_of(name, repository, &config))
            .collect()
    }

    #[test]
    fn repositories_share_nixs_caches_and_never_where_their_tokens_lie() {
        let [one, other] = &settings()[..] else {
            panic!("not two repositories");
        };
        assert_eq!(one.cache, other.cache);
        assert_ne!(one.scratch, other.scratch);
    }

    #[test]
    fn a_repositorys_token_is_for_the_port_of_its_url() {
        let access = settings().into_iter().map(|settings| settings.access);
        let token = |file: &str| InputAccess::Token {
            host: "gitea.example:3000".into(),
            username: "reconcile".into(),
            file: format!("/etc/reconcile/{file}").into(),
        };
        assert_eq!(
            access.collect::<Vec<_>>(),
            [token("home-token"), token("infra-token")]
        );
    }

    #[test]
    fn the_server_of_a_url_has_no_user() {
        for (url, server) in [
            ("https://gitea.example/a/b.git", "gitea.example"),
            ("https://gitea.example:3000/a/b.git", "gitea.example:3000"),
            ("https://u@gitea.example:3000/a/b", "gitea.example:3000"),
            ("http://[::1]:3000/a/b.git", "[::1]:3000"),
            ("nonsense", ""),
        ] {
            assert_eq!(server_of(url), server);
        }
    }
}
