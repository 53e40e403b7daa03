# One replica of a model, without anything that makes models. From the root of the project:
#
#   docker build -f infra/docker/serving.Dockerfile -t REGISTRY/openautoglm-serving .
#   docker run --read-only --tmpfs /tmp -v FOLDER:/model:ro -p 8080:8080 -p 8081:8081 \
#       REGISTRY/openautoglm-serving
#
# FOLDER is a compressed model: payload/, choice.json, manifest.json. On Kubernetes:
# readinessProbe GET /v2/health/ready, livenessProbe GET /v2/health/live, both on port 8080;
# SIGTERM drains. A newer base:
#   docker buildx imagetools inspect python:3.11-slim-bookworm | grep Digest
FROM python:3.11-slim-bookworm@sha256:528257d48c1da0dcecc2e725d1ae34498d60c965f1241e39cd6a85a8859bdf84 AS build

ENV PIP_CONSTRAINT=/build/constraints.txt \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY constraints.txt ./
COPY infra/docker/serving.txt infra/docker/
# serving.txt is complete, and leaves out what no replica imports: so no dependencies.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install --no-deps --only-binary=:all: \
       -r infra/docker/serving.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    pip --python /opt/venv/bin/python install --no-deps .


FROM python:3.11-slim-bookworm@sha256:528257d48c1da0dcecc2e725d1ae34498d60c965f1241e39cd6a85a8859bdf84

ARG REVISION=unknown
LABEL org.opencontainers.image.title="openautoglm-serving" \
      org.opencontainers.image.description="One replica of an Open-AutoGLM model" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="$REVISION"

RUN pip uninstall --yes pip setuptools wheel \
    && groupadd --gid 10001 openautoglm \
    && useradd --uid 10001 --gid 10001 --no-log-init --create-home openautoglm
COPY --from=build /opt/venv /opt/venv

ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
EXPOSE 8080 8081
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/v2/health/ready', timeout=2)"]
ENTRYPOINT ["openautoglm", "serve"]
CMD ["--model", "/model", "--host", "0.0.0.0"]
