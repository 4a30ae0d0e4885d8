# The gateway and the agent service in one image: docker build -t registry.example.com/agent-gateway:0.1.0 .
# For a build that can be repeated, pin both images by digest: --build-arg NODE_IMAGE=...@sha256:... --build-arg RUNTIME_IMAGE=...
ARG NODE_IMAGE=docker.io/library/node:24-bookworm-slim
ARG RUNTIME_IMAGE=gcr.io/distroless/nodejs24-debian12:nonroot

FROM ${NODE_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
# No script of a package runs, also not one that was taken over.
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src src
# npm sbom --omit=dev leaves out what development packages need as well, so the manifest must not name them any more.
RUN npm run build && rm dist/.tsbuildinfo \
    && npm prune --omit=dev --ignore-scripts \
    && npm pkg delete devDependencies scripts \
    && npm sbom --sbom-format=spdx > sbom.spdx.json

FROM ${RUNTIME_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="agent-gateway" \
      org.opencontainers.image.description="Routes Spinnaker operations to the Kubernetes agents that own the accounts" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
WORKDIR /app
# Of root, so that the program cannot change itself. What is copied last changes most often.
COPY --from=build /build/package.json /build/sbom.spdx.json ./
COPY LICENSE ./
COPY --from=build /build/node_modules node_modules
COPY --from=build /build/dist dist
ENV NODE_ENV=production
USER 65532:65532
EXPOSE 7002 9091
# Kubernetes asks by its own probes; for other runtimes a HEALTHCHECK would need a shell or curl, which are not here.
ENTRYPOINT ["/nodejs/bin/node", "/app/dist/main.js"]
CMD ["serve"]
