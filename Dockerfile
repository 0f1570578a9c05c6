FROM denoland/deno:alpine-2.9.6

WORKDIR /app
COPY deno.json deno.lock ./
COPY tools/offline tools/offline
COPY main.ts ./
COPY chat chat
# Fetches all imports and checks them against deno.lock. Nothing is fetched at run time.
RUN deno task deps && deno cache --frozen main.ts

ENV CHAT_STORE=redis LOG_FORMAT=json
EXPOSE 8080
USER deno
# The same command as `deno task start`. A young generation of a fixed 8 MiB and optimization after
# 800 calls make the pauses for garbage collection and compilation fewer and shorter.
CMD ["run", "--quiet", "--cached-only", "--frozen", "--no-prompt", "--v8-flags=--min-semi-space-size=8,--max-semi-space-size=8,--invocation-count-for-turbofan=800", "--allow-net", "--allow-env", "--allow-read=chat", "main.ts"]
