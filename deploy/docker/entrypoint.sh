#!/bin/sh
# Puts the passwords of mounted secrets into the variables that need them, then runs the command.
#
# CARBON_LOGINS names settings and roles, as `WRITER=carbon_writer READER=carbon_reader`: each becomes
# CARBON_DATABASE_<NAME>_URL with the password in /run/secrets/<role>. A role without its secret stops the start.
set -eu
for login in ${CARBON_LOGINS:-}; do
    name=${login%%=*}
    role=${login#*=}
    password=$(cat "/run/secrets/${role}")
    suffix=
    # The migrator works as the owner of everything, as whom nobody logs in.
    if [ "${role}" = carbon_migrator ]; then suffix='?options=-c%20role%3Dcarbon_owner'; fi
    export "CARBON_DATABASE_${name}_URL=postgresql://${role}:${password}@${CARBON_DATABASE_HOST:-postgres}:5432/carbon${suffix}"
done
if [ -n "${DAGSTER_PG_HOST:-}" ]; then
    DAGSTER_PG_PASSWORD=$(cat /run/secrets/dagster)
    export DAGSTER_PG_PASSWORD
fi
exec "$@"
