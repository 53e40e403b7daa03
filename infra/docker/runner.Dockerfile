# What the tasks of a pipeline run in, and the MLflow server. From the root of the project:
#
#   docker build -f infra/docker/runner.Dockerfile -t REGISTRY/openautoglm-runner .
#   docker push REGISTRY/openautoglm-runner      # prints the digest that settings.yaml wants
#
# torch comes from where pip is configured to look; another index, such as that of its CPU builds:
# --build-arg TORCH_INDEX=URL (torch's own installation page lists them).
# A package mirror that needs a password: --secret id=pip,src=pip.conf, never an ARG.
# A newer base: docker buildx imagetools inspect python:3.11-slim-bookworm | grep Digest
FROM python:3.11-slim-bookworm@sha256:528257d48c1da0dcecc2e725d1ae34498d60c965f1241e39cd6a85a8859bdf84 AS build

ARG TORCH_INDEX=
# As an environment variable it holds for build requirements, too.
ENV PIP_CONSTRAINT=/build/constraints.txt \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY constraints.txt ./
# Without pip in it: nothing can be installed where a task runs. torch first, as in the Makefile.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch==2.13.0
COPY pyproject.toml README.md LICENSE ./
COPY src src
# Pinned by the constraints, which hadolint does not see.
# hadolint ignore=DL3013
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    pip --python /opt/venv/bin/python install '.[kubeflow,postgres,s3,server]'


FROM python:3.11-slim-bookworm@sha256:528257d48c1da0dcecc2e725d1ae34498d60c965f1241e39cd6a85a8859bdf84

ARG REVISION=unknown
LABEL org.opencontainers.image.title="openautoglm-runner" \
      org.opencontainers.image.description="The steps of Open-AutoGLM, and MLflow's server" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="$REVISION"

# A name for the user, because libraries ask for one; the numbers are what Kubernetes compares.
# What tasks write lies on mounts or in /tmp, so the root file system may be read-only.
RUN pip uninstall --yes pip setuptools wheel \
    && groupadd --gid 10001 openautoglm \
    && useradd --uid 10001 --gid 10001 --no-log-init --create-home openautoglm \
    && install --directory --owner=10001 --group=10001 /project /project/.openautoglm
COPY --from=build /opt/venv /opt/venv
WORKDIR /project
COPY --chown=10001:10001 params.yaml dvc.yaml config.yaml ./
COPY --chown=10001:10001 .dvc/config .dvc/config
COPY --chown=10001:10001 src src

ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OPENAUTOGLM_PROJECT=/project \
    DVC_SITE_CACHE_DIR=/tmp/dvc \
    DVC_NO_ANALYTICS=1 \
    HF_HUB_DISABLE_TELEMETRY=1 \
    MLFLOW_DISABLE_TELEMETRY=true
USER 10001:10001
# A task brings its own command.
ENTRYPOINT ["openautoglm"]
CMD ["--help"]
