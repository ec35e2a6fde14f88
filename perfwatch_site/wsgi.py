"""The web application that gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

from perfwatch_site.databases import limit_statements

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "perfwatch_site.settings")

application = get_wsgi_application()
limit_statements()
