# PID 1 of a sandbox: nothing inside can end it. It reaps orphans (wait does) and keeps the agent alive.
while :; do
  /usr/local/bin/node /usr/local/lib/comio/sandbox/agent/main.js &
  wait $!
  rm -f /run/comio/agent.sock
  sleep 0.2
done
