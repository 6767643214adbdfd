# The service in an image of its own: the binary, the libraries it needs, CA certificates, and nothing that could
# run anything else. build/image builds, measures and tries it; by hand: docker build -t payment-latency-api .
#
# For a release, pin the builder: --build-arg BUILDER_IMAGE=debian@sha256:...
ARG BUILDER_IMAGE=debian:trixie-slim

FROM ${BUILDER_IMAGE} AS build
WORKDIR /src
# What comes from the base goes into the image as well, so it must be as new as what is installed.
# hadolint ignore=DL3009
RUN apt-get -q update && apt-get -qy upgrade
COPY build/deps build/
COPY build/lib/unpack-deps build/lib/lib.sh build/lib/
RUN build/deps product
COPY CMakeLists.txt CMakePresets.json ./
COPY build/cmake build/cmake
COPY core core
COPY pool pool
COPY http http
ARG REVISION=unknown
RUN cmake --preset release -DBUILD_TESTS=OFF && cmake --build --preset release --target payment-latency-api
COPY LICENSE ./
COPY build/lib/image-rootfs build/lib/
ARG SOURCE_DATE_EPOCH=0
RUN build/lib/image-rootfs out/release/payment-latency-api /rootfs

FROM scratch
COPY --from=build /rootfs /
USER 65532:65532
# OPS_PORT is not named here: who publishes every exposed port means callers.
EXPOSE 8080
ENTRYPOINT ["/usr/bin/payment-latency-api"]
CMD ["serve"]
# Liveness only, and of ourselves: a database that is away must not restart the service.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/usr/bin/payment-latency-api", "healthcheck"]
ARG VERSION=1.0.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=https://example.com/payment-latency-api
LABEL org.opencontainers.image.title="payment-latency-api" \
      org.opencontainers.image.description="Payment decisions in under 100 ms: one thread, one epoll loop, its own PostgreSQL pool" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.source="${SOURCE}"
