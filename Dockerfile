FROM denoland/deno:alpine-2.9.6

WORKDIR /app
COPY deno.json deno.lock ./
COPY tools/offline tools/offline
COPY main.ts ./
COPY chat chat
COPY web web
COPY deploy/health_check.ts deploy/
# Fetches all imports and checks them against deno.lock. Nothing is fetched at run time.
RUN deno task deps && deno cache --frozen main.ts deploy/health_check.ts

ENV CHAT_STORE=redis LOG_FORMAT=json
EXPOSE 8080
USER deno
# Exit code 0 means that the server responds, 1 that it does not.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["deno", "run", "--quiet", "--cached-only", "--no-prompt", "--allow-env=HOST,PORT", "--allow-net", "deploy/health_check.ts"]
# The same command as `deno task start`. A young generation of a fixed 8 MiB and optimization after
# 800 calls make the pauses for garbage collection and compilation fewer and shorter.
CMD ["run", "--quiet", "--cached-only", "--frozen", "--no-prompt", "--v8-flags=--min-semi-space-size=8,--max-semi-space-size=8,--invocation-count-for-turbofan=800", "--allow-net", "--allow-env", "--allow-read", "main.ts"]
