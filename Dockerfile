# The program, and what it runs: git, OpenSSH, gpgv and Nix. docs/container.md says how to build and run it.
#
# The last stage is what `docker build .` gives: Nix of Debian's packages. `--target determinate`, `vanilla` and
# `nixos` have Nix by other ways, which need the internet.

# Both of one Debian release: the program is linked with the first one's OpenSSL and runs with the second one's.
ARG RUST_IMAGE=rust:1.95-slim-trixie
ARG DEBIAN_IMAGE=debian:trixie-slim
# Only for `--target nixos`.
ARG NIXOS_IMAGE=nixos/nix:2.28.3

FROM ${RUST_IMAGE} AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libssl-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY deploy deploy
COPY desired-state desired-state
COPY reconciler reconciler
COPY webhook webhook
# Cargo wants every member of the workspace to be there.
COPY xtask xtask
# What the program says of itself in the metric reconcile_build_info.
ARG RECONCILE_COMMIT=unknown
# Where the crates come from can be told by a cargo config: --secret id=cargo-config,src=FILE.
RUN --mount=type=secret,id=cargo-config,target=/usr/local/cargo/config.toml \
    --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --locked --package reconciler --bin reconcile \
    && install -D target/release/reconcile /out/reconcile

# All but Nix and the program.
FROM ${DEBIAN_IMAGE} AS tools
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        ca-certificates git gpgv libssl3t64 openssh-client tini \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/cache/debconf/*-old /var/log/apt /var/log/dpkg.log \
    && useradd --uid 1000 --user-group --home-dir /var/lib/reconcile --shell /bin/sh reconcile \
    && install -d -o reconcile -g reconcile -m 700 /var/lib/reconcile \
    && install -d -o reconcile -g reconcile -m 755 /nix /etc/nix \
    && install -d /etc/reconcile
COPY --chmod=755 packaging/image/entrypoint.sh /usr/local/bin/reconcile-entrypoint
COPY --chmod=755 packaging/image/health.sh /usr/local/bin/reconcile-health
# What the entrypoint links into /nix comes first; with Debian's Nix there is nothing.
# The operator's listener is what a Prometheus beside this container and the health check ask.
ENV PATH=/nix/var/nix/profiles/image/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/var/lib/reconcile \
    NIX_SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    RECONCILE_OPERATOR_LISTEN=0.0.0.0:9090
LABEL org.opencontainers.image.title="reconcile" \
      org.opencontainers.image.description="Brings NixOS hosts to the commit that their branch points at" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
EXPOSE 9080 9090
VOLUME ["/nix", "/var/lib/reconcile"]
WORKDIR /var/lib/reconcile
STOPSIGNAL SIGTERM
# Reads /healthz. Filling an empty /nix comes before.
HEALTHCHECK --interval=30s --timeout=5s --start-period=2m CMD ["reconcile-health"]
# tini reaps what ssh leaves behind in the background, and passes signals on.
ENTRYPOINT ["tini", "-s", "--", "reconcile-entrypoint"]
CMD ["serve"]
USER reconcile

# Nix by the Determinate installer.
FROM ${DEBIAN_IMAGE} AS nix-determinate
ARG DETERMINATE_INSTALLER=https://install.determinate.systems/nix
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates curl xz-utils
RUN --mount=type=bind,source=packaging/image/make-seed.sh,target=/make-seed.sh \
    curl --fail --silent --show-error --location --output /tmp/install "$DETERMINATE_INSTALLER" \
    && sh /tmp/install install linux --init none --no-confirm \
    && PATH=/nix/var/nix/profiles/default/bin:$PATH sh /make-seed.sh /seed /nix/var/nix/profiles/default

FROM tools AS determinate
COPY --from=nix-determinate /seed /usr/lib/reconcile/seed
COPY --from=build /out/reconcile /usr/local/bin/reconcile

# Nix by the vanilla installer, for a single user.
FROM ${DEBIAN_IMAGE} AS nix-vanilla
ARG NIX_INSTALLER=https://releases.nixos.org/nix/nix-2.28.3/install
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates curl xz-utils \
    && useradd --create-home installer && install -d -o installer /nix
RUN --mount=type=bind,source=packaging/image/make-seed.sh,target=/make-seed.sh \
    curl --fail --silent --show-error --location --output /tmp/install "$NIX_INSTALLER" \
    && su installer -c 'USER=installer sh /tmp/install --no-daemon --no-channel-add --no-modify-profile' \
    && PATH=/home/installer/.nix-profile/bin:$PATH sh /make-seed.sh /seed /home/installer/.nix-profile

FROM tools AS vanilla
COPY --from=nix-vanilla /seed /usr/lib/reconcile/seed
COPY --from=build /out/reconcile /usr/local/bin/reconcile

# Nix of the NixOS base image.
FROM ${NIXOS_IMAGE} AS nix-nixos
RUN --mount=type=bind,source=packaging/image/make-seed.sh,target=/make-seed.sh \
    sh /make-seed.sh /seed /nix/var/nix/profiles/default

FROM tools AS nixos
COPY --from=nix-nixos /seed /usr/lib/reconcile/seed
COPY --from=build /out/reconcile /usr/local/bin/reconcile

# Nix of Debian's packages: in /usr, so /nix holds nothing of the image.
FROM tools AS debian
USER root
RUN --mount=type=bind,source=packaging/image/make-seed.sh,target=/make-seed.sh \
    apt-get update \
    && apt-get install --yes --no-install-recommends nix-bin \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/cache/debconf/*-old /var/log/apt /var/log/dpkg.log /etc/nix/nix.conf \
    && HOME=/root sh /make-seed.sh /usr/lib/reconcile/seed \
    && rm -rf /nix/*
USER reconcile
COPY --from=build /out/reconcile /usr/local/bin/reconcile
