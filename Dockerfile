# The gateway and the operator: `docker build --target gateway .`, `docker build --target operator .`, or `make images`.
# BASE is anything with Python 3.11, its venv module, and CA certificates; the default is named by digest.
ARG BASE=python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b
# COMPILER is BASE with a C compiler and the headers of Python. If gcc is missing there, it is installed by apt-get.
ARG COMPILER=${BASE}

# ---- what builds; nothing of it reaches an image but what is copied below ----

FROM ${BASE} AS tools
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
COPY requirements/build.lock /src/requirements/
RUN python3 -m venv /opt/tools && /opt/tools/bin/pip install --quiet --require-hashes -r /src/requirements/build.lock

# Dependencies change seldom and code often: each has a layer of its own. The environments have no pip of their own.
FROM tools AS gateway-dependencies
COPY requirements/gateway.lock /src/requirements/
RUN python3 -m venv --without-pip /opt/mcppool \
    && /opt/tools/bin/pip --python /opt/mcppool/bin/python3 install --quiet --require-hashes -r /src/requirements/gateway.lock

FROM tools AS operator-dependencies
COPY requirements/operator.lock /src/requirements/
RUN python3 -m venv --without-pip /opt/mcppool \
    && /opt/tools/bin/pip --python /opt/mcppool/bin/python3 install --quiet --require-hashes -r /src/requirements/operator.lock
# The client's classes of the Kubernetes APIs take 80 MB; the operator uses its transport only.
RUN rm -r /opt/mcppool/lib/python3.*/site-packages/kubernetes/client/api /opt/mcppool/lib/python3.*/site-packages/kubernetes/aio/client/api

# The operator runs nothing of the path of a call: its code is Python, and its image needs no compiler to build.
FROM tools AS operator-code
RUN python3 -m venv --without-pip /opt/mcppool
COPY pyproject.toml hatch_build.py README.md LICENSE /src/
COPY dataplane /src/dataplane
COPY operator /src/operator
RUN /opt/tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheel /src \
    && /opt/tools/bin/pip --python /opt/mcppool/bin/python3 install --quiet --no-deps --no-warn-script-location --root /code /wheel/*.whl

# The gateway has the modules that run in every call compiled (docs/how-to/compiled.md). The compiler wants the types of the
# dependencies. `--build-arg COMPILED=0` leaves all of them Python.
FROM ${COMPILER} AS gateway-code
ARG COMPILED=1
RUN [ "$COMPILED" != 1 ] || command -v gcc >/dev/null \
    || { apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev; }
COPY --from=tools /opt/tools /opt/tools
COPY --from=gateway-dependencies /opt/mcppool /opt/mcppool
COPY pyproject.toml hatch_build.py README.md LICENSE /src/
COPY scripts/compile-modules scripts/compiled_modules.py /src/scripts/
COPY dataplane /src/dataplane
COPY operator /src/operator
RUN export MCPPOOL_COMPILED="$COMPILED" PYTHONPATH="$(echo /opt/mcppool/lib/python3.*/site-packages)" PIP_NO_CACHE_DIR=1 \
    && /opt/tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheel /src \
    && /opt/tools/bin/pip --python /opt/mcppool/bin/python3 install --quiet --no-deps --no-warn-script-location --root /code /wheel/*.whl

# ---- the images; the code comes last, so that a change of it makes one small layer ----

FROM ${BASE} AS runtime
ARG VERSION=dev
ENV PATH=/opt/mcppool/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
LABEL org.opencontainers.image.version="${VERSION}" org.opencontainers.image.licenses="Apache-2.0"
USER 65532:65532
WORKDIR /tmp
STOPSIGNAL SIGTERM

FROM runtime AS gateway
LABEL org.opencontainers.image.title="mcppool gateway" \
      org.opencontainers.image.description="One MCP endpoint in front of many replicas of an MCP server"
EXPOSE 8080 9090
ENTRYPOINT ["mcppool"]
COPY --from=gateway-dependencies /opt/mcppool /opt/mcppool
COPY --from=gateway-code /code/opt/mcppool /opt/mcppool

FROM runtime AS operator
LABEL org.opencontainers.image.title="mcppool operator" \
      org.opencontainers.image.description="Reconciles McpServerPool resources into gateways"
EXPOSE 8080 8081
ENTRYPOINT ["mcppool-operator"]
COPY --from=operator-dependencies /opt/mcppool /opt/mcppool
COPY --from=operator-code /code/opt/mcppool /opt/mcppool
