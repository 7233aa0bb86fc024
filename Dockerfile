# The images of Tidelog: one static program each, nothing else that runs.
#   docker build --target sidecar -t tidelog/sidecar:0.1.0 .        also --target operator, --target cli
# The same sources and the same base image give the same programs.
ARG RUST=1.95-bookworm
FROM docker.io/library/rust:${RUST} AS build
WORKDIR /src
COPY . .
# Static: glibc with everything in the program, so that the image needs no system. --target keeps this away from what runs at build time.
ENV RUSTFLAGS="-C target-feature=+crt-static" CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never
# What the last build compiled is used again, unless a file that it was made of has another content: times of files say nothing here.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    sources=$(find . \( -name target -o -path ./tests -o -path ./docs \) -prune -o -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum) && \
    if [ "$sources" = "$(cat target/sources 2>/dev/null)" ]; then when=@0; else when=now; fi && \
    rm -f target/sources && find . -name target -prune -o -type f -exec touch -d "$when" {} + && \
    target=$(rustc -vV | sed -n 's/^host: //p') && \
    cargo build --locked --profile image --target "$target" -p tidelog-operator -p tidelog-sidecar -p tidelog-cli && \
    echo "$sources" >target/sources && \
    install -D -m 755 -t /out "target/$target/image/tidelog-operator" "target/$target/image/tidelog-sidecar" "target/$target/image/tidelog"

FROM scratch AS base
ARG REVISION=unknown
ARG VERSION=0.1.0
LABEL org.opencontainers.image.vendor="Tidelog" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# For databases whose certificates are signed by a public authority.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
USER 65532:65532

FROM base AS operator
LABEL org.opencontainers.image.title="tidelog-operator" \
      org.opencontainers.image.description="Realises EventLog and ReplicationLink resources in its cluster"
COPY --from=build /out/tidelog-operator /tidelog-operator
ENTRYPOINT ["/tidelog-operator"]

FROM base AS cli
LABEL org.opencontainers.image.title="tidelog" \
      org.opencontainers.image.description="The command line of Tidelog"
COPY --from=build /out/tidelog /tidelog
ENTRYPOINT ["/tidelog"]

# The last one is what a build without --target makes.
FROM base AS sidecar
LABEL org.opencontainers.image.title="tidelog-sidecar" \
      org.opencontainers.image.description="The event log of one location"
COPY --from=build /out/tidelog-sidecar /tidelog-sidecar
ENTRYPOINT ["/tidelog-sidecar"]
