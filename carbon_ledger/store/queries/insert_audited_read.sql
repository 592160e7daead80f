insert into access.audited_read (key_id, organization_id, method, path, query)
values (%(key_id)s, %(organization_id)s, %(method)s, %(path)s, %(query)s)
