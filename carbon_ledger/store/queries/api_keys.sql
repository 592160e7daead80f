-- Keys in order of their making, or the one asked for, and which were revoked.
select k.key_id, k.organization_id, k.secret_sha256, k.scopes, k.supplier_ids, k.holder, k.person_id, k.role, k.created_at, k.created_by,
       k.expires_at, r.revoked_at, r.revoked_by, r.reason
from access.api_key k
left join access.api_key_revocation r using (key_id)
where %(key_id)s::text is null or k.key_id = %(key_id)s
order by k.created_at, k.key_id
