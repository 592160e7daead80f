-- A new key; when it was made.
insert into access.api_key
    (key_id, organization_id, secret_sha256, scopes, supplier_ids, holder, person_id, role, created_by, expires_at)
values (%(key_id)s, %(organization_id)s, %(secret_sha256)s, %(scopes)s, %(supplier_ids)s, %(holder)s, %(person_id)s, %(role)s,
        %(created_by)s, %(expires_at)s)
returning created_at
