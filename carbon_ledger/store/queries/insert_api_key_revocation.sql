-- Revokes a key; no row if it was revoked before.
insert into access.api_key_revocation (key_id, revoked_by, reason)
values (%(key_id)s, %(revoked_by)s, %(reason)s)
on conflict (key_id) do nothing
returning revoked_at
