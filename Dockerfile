# Three stages: the browser client, the service's wheel with the engine inside, and what runs.

FROM node:20-bookworm-slim AS client
WORKDIR /veche/static
COPY static/package.json static/package-lock.json static/.npmrc ./
RUN npm ci --no-audit --no-fund
COPY static/ ./
RUN npm run build

FROM rust:1-slim-bookworm AS wheel
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-pip python3-venv && rm -rf /var/lib/apt/lists/*
WORKDIR /veche
COPY pyproject.toml README.md LICENSE ./
COPY media/ media/
COPY server/ server/
COPY signaling/ signaling/
COPY --from=client /veche/static/dist/ static/dist/
RUN python3 -m venv /build && /build/bin/pip wheel --no-deps --wheel-dir /wheels .

FROM python:3.11-slim-bookworm
COPY --from=wheel /wheels/ /wheels/
RUN pip install --no-cache-dir /wheels/*.whl && rm -rf /wheels \
    && useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin veche \
    && install -d -o veche -g veche -m 0700 /data
USER veche
WORKDIR /data
VOLUME /data
ENV VECHE_DATA_DIR=/data PYTHONUNBUFFERED=1
# HTTP, HTTPS, media
EXPOSE 8080/tcp 8443/tcp 7882/udp 7881/tcp
ENTRYPOINT ["veche"]
CMD ["serve"]
