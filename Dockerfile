# The environment of flow runs and servers. The project itself, with .git and the DVC cache, is mounted at /project.
# The tag is for the reader; Docker takes the digest. Dependabot proposes newer ones (.github/dependabot.yml).
FROM python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

# CPU builds of torch; for CUDA: --build-arg TORCH_INDEX=https://pypi.org/simple
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# Owner of what flow runs write into the project: --build-arg UID=$(id -u)
ARG UID=1000
# For Spark in the container: --build-arg EXTRAS='[spark]' --build-arg PACKAGES=openjdk-17-jre-headless
ARG EXTRAS=
ARG PACKAGES=

RUN apt-get update \
    && apt-get install --yes --no-install-recommends git libgomp1 $PACKAGES \
    && rm -rf /var/lib/apt/lists/* \
    && git config --system --add safe.directory '*' \
    && useradd --create-home --uid "$UID" recgan \
    && install --directory --owner recgan /project /artifacts

# The dependencies first, for a package that is still empty: their layer outlives every change of the code.
WORKDIR /image
COPY pyproject.toml requirements.lock README.md LICENSE ./
RUN mkdir -p src/recgan \
    && touch src/recgan/__init__.py \
    && pip install --no-cache-dir --extra-index-url "$TORCH_INDEX" --constraint requirements.lock ".$EXTRAS"
COPY src src
RUN pip install --no-cache-dir --no-deps --force-reinstall .

USER recgan
WORKDIR /project
CMD ["python", "-m", "flows.retrain"]
